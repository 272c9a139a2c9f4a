//! Whose pages may show a site in a frame, told to browsers with every answer.
//!
//! A browser asks each policy of an answer, and each has to allow it (CSP 3 §6.4.2), so that one
//! `frame-ancestors` of the upstream's own could undo what the operator wants. They are taken out of the
//! upstream's policies, of which every other byte stays, and the site's stand in a policy of their own.

use http::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, X_FRAME_OPTIONS};
use http::{Extensions, StatusCode};

use crate::domain::host::Origin;
use crate::http::Response;

const DIRECTIVE: &[u8] = b"frame-ancestors";

/// Marks an answer of the gateway's own that nobody may frame: on it a press of a button, or merely being
/// there, means something.
#[derive(Clone, Copy, Debug)]
struct Nobody;

/// Keeps `response` out of all frames, whoever may frame the site.
pub(super) fn unframeable(mut response: Response) -> Response {
    response.extensions_mut().insert(Nobody);
    response
}

/// The origins whose pages may frame a site, beside its own.
#[derive(Debug)]
pub(super) struct FrameAncestors(HeaderValue);

impl FrameAncestors {
    /// For a site with these `embed_origins`; `None` if there are none, and the answers are left alone.
    pub(super) fn new(origins: &[Origin]) -> Option<Self> {
        let sources: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let policy = format!("frame-ancestors 'self' {}", sources.join(" "));
        (!origins.is_empty()).then(|| HeaderValue::from_str(&policy).ok().map(Self)).flatten()
    }

    /// Lets these origins frame `response`, and nobody else.
    pub(super) fn allow_on(&self, response: &mut Response) {
        if is_marked(response.extensions()) {
            return;
        }
        // Of an answer that was not modified a browser keeps what it had, and replaces the fields that it
        // is told anew (RFC 9111 §3.2): a lone policy of ours would drive out the upstream's.
        let is_partial = response.status() == StatusCode::NOT_MODIFIED
            && !response.headers().contains_key(CONTENT_SECURITY_POLICY);
        let headers = response.headers_mut();
        // Browsers that know frame-ancestors pass this over; others would follow it.
        headers.remove(X_FRAME_OPTIONS);
        if !is_partial {
            without_ancestors(headers);
            headers.append(CONTENT_SECURITY_POLICY, self.0.clone());
        }
    }
}

fn is_marked(extensions: &Extensions) -> bool {
    extensions.get::<Nobody>().is_some()
}

/// Takes the directive out of all policies that are enforced.
fn without_ancestors(headers: &mut HeaderMap) {
    let names_it = |line: &HeaderValue| {
        line.as_bytes().windows(DIRECTIVE.len()).any(|window| window.eq_ignore_ascii_case(DIRECTIVE))
    };
    if !headers.get_all(CONTENT_SECURITY_POLICY).into_iter().any(names_it) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(CONTENT_SECURITY_POLICY).into_iter().cloned().collect();
    headers.remove(CONTENT_SECURITY_POLICY);
    for line in lines {
        let kept = if names_it(&line) { cleaned(&line) } else { Some(line) };
        if let Some(line) = kept {
            headers.append(CONTENT_SECURITY_POLICY, line);
        }
    }
}

/// A line of policies, separated by commas, without the directive; `None` if nothing else stood in it.
fn cleaned(line: &HeaderValue) -> Option<HeaderValue> {
    let policies = line.as_bytes().split(|byte| *byte == b',').filter_map(|policy| {
        let directives = policy.split(|byte| *byte == b';').filter(|directive| !is_ancestors(directive));
        let kept: Vec<&[u8]> = directives.collect();
        let says_something = kept.iter().any(|directive| !directive.trim_ascii().is_empty());
        says_something.then(|| kept.join(&b';'))
    });
    let policies: Vec<Vec<u8>> = policies.collect();
    let line = policies.join(&b',');
    HeaderValue::from_bytes(line.trim_ascii()).ok().filter(|line| !line.is_empty())
}

/// Whether a directive is the one, by the way in which browsers read its name (CSP 3 §2.2.1): in any case,
/// between ASCII whitespace.
fn is_ancestors(directive: &[u8]) -> bool {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let name = directive.trim_ascii().split(is_space).next().unwrap_or_default();
    name.eq_ignore_ascii_case(DIRECTIVE)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::http::reply;

    const OURS: &str = "frame-ancestors 'self' https://partner.example https://b.example:8443";

    fn merged(status: StatusCode, fields: &[(&str, &str)]) -> Vec<String> {
        let origins =
            ["https://partner.example", "https://b.example:8443"].map(|o| Origin::parse(o).unwrap());
        let mut response = reply::empty(status);
        response.headers_mut().clear();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            response.headers_mut().append(name, value.parse().unwrap());
        }
        FrameAncestors::new(&origins).unwrap().allow_on(&mut response);
        let shown =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        response.headers().iter().map(shown).collect()
    }

    #[test]
    fn the_sites_policy_takes_the_place_of_the_upstreams_and_leaves_the_rest() {
        const CSP: &str = "Content-Security-Policy";
        for (lines, left) in [
            (&[][..], &[][..]),
            (&["default-src 'self'"], &["default-src 'self'"]),
            (&["default-src  'self' ;; img-src *"], &["default-src  'self' ;; img-src *"]),
            (&["frame-ancestors 'none'"], &[]),
            (&["frame-ancestors"], &[]),
            (&["FRAME-Ancestors\t*"], &[]),
            (&["default-src 'self'; frame-ancestors 'none'"], &["default-src 'self'"]),
            (&["frame-ancestors 'none'; default-src 'self';"], &["default-src 'self';"]),
            // Of two in one policy browsers read the first; of two policies, both.
            (&["a b; frame-ancestors *; frame-ancestors 'none'; c"], &["a b; c"]),
            (&["a b, frame-ancestors *, c;frame-ancestors d"], &["a b, c"]),
            (&["frame-ancestors *, , frame-ancestors d"], &[]),
            (&["a b", "frame-ancestors *", "c; frame-ancestors d"], &["a b", "c"]),
            // Neither is the directive.
            (&["x-frame-ancestors *; frame-ancestors-x *"], &["x-frame-ancestors *; frame-ancestors-x *"]),
            (&["report-uri /frame-ancestors"], &["report-uri /frame-ancestors"]),
        ] {
            let fields: Vec<_> = lines.iter().map(|line| (CSP, *line)).collect();
            let left: Vec<_> =
                left.iter().chain(&[OURS]).map(|line| format!("content-security-policy: {line}")).collect();
            assert_eq!(merged(StatusCode::OK, &fields), left, "{lines:?}");
        }
    }

    #[test]
    fn what_only_reports_stays_and_what_old_browsers_follow_goes() {
        let report = ("content-security-policy-report-only", "frame-ancestors 'none'");
        let fields = [report, ("x-frame-options", "DENY"), ("X-Frame-Options", "SAMEORIGIN")];
        let left = merged(StatusCode::OK, &fields);
        assert_eq!(left, [format!("{}: {}", report.0, report.1), format!("content-security-policy: {OURS}")]);
    }

    #[test]
    fn an_answer_that_was_not_modified_drives_no_policy_out() {
        assert!(merged(StatusCode::NOT_MODIFIED, &[("x-frame-options", "DENY")]).is_empty());
        let left = merged(StatusCode::NOT_MODIFIED, &[("content-security-policy", "a b; frame-ancestors *")]);
        assert_eq!(
            left,
            ["content-security-policy: a b".to_owned(), format!("content-security-policy: {OURS}")]
        );
    }

    #[test]
    fn without_origins_there_is_nothing_to_do_and_some_answers_are_never_framed() {
        assert!(FrameAncestors::new(&[]).is_none());
        let ancestors = FrameAncestors::new(&[Origin::parse("https://a.example").unwrap()]).unwrap();
        let mut response = unframeable(reply::page(StatusCode::OK, String::new(), "frame-ancestors 'none'"));
        ancestors.allow_on(&mut response);
        let policies: Vec<_> = response.headers().get_all(CONTENT_SECURITY_POLICY).into_iter().collect();
        assert_eq!(policies, ["frame-ancestors 'none'"]);
    }
}
