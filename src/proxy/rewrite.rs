//! What changes between the request that came and the one that goes. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, REFERER, SEC_WEBSOCKET_KEY,
    TE, UPGRADE,
};
use http::{HeaderMap, Uri};

use super::forward::{Forwarding, ShownCookies};
use crate::config::Site;
use crate::domain::access::Permit;
use crate::domain::query::{extract_token, join};
use crate::domain::session::LiveSession;
use crate::http::connection::HopByHop;
use crate::http::cookies;
use crate::http::forged::is_forged;
use crate::http::h1::{Fields, Lines};
use crate::http::request_id::X_REQUEST_ID;
use crate::http::response_fields::X_ACCESS_CLASS;
use crate::http::webdav::DESTINATION;
use crate::http::websocket;

/// The header with the signed word. Nobody else's reaches an upstream: it begins as all of the gateway's
/// own do.
pub static X_TOLLGATE_ASSERTION: HeaderName = HeaderName::from_static("x-tollgate-assertion");
/// Tells the upstream that the visitor wants pages without its own head and foot.
static X_TOLLGATE_CHROMELESS: HeaderName = HeaderName::from_static("x-tollgate-chromeless");

/// Makes the fields that the upstream gets, but for those that frame the body: anew, from what may
/// pass of those that `came`, so that whatever path a request took through the gateway, nothing
/// forged can come along. The first is the Host: the upstream's own, or the visitor's. A Destination
/// that was judged is left to whoever knows under which name the upstream goes. Returns whether the
/// client takes trailers (RFC 9110 §10.1.4).
pub(super) fn to_upstream(
    came: &HeaderMap,
    permit: &Permit,
    forwarding: &Forwarding<'_>,
    own_host: &HeaderValue,
    fields: &mut impl Fields,
) -> bool {
    fields.put(&HOST, if forwarding.site.preserve_host { forwarding.host } else { own_host });
    if let Some(key) = forwarding.websocket {
        fields.put(&CONNECTION, &HeaderValue::from_static("upgrade"));
        fields.put(&UPGRADE, &websocket::WEBSOCKET);
        fields.put(&SEC_WEBSOCKET_KEY, key);
    }
    let hop_by_hop = if forwarding.fields.connection { HopByHop::of(came) } else { HopByHop::default() };
    let mut takes_trailers = false;
    for (name, value) in came {
        // Host is set above, and the length is told of the body that is sent. "100 Continue" is
        // ours to say, and it is said when the body is first asked for: after the access decision.
        let is_ours = *name == HOST
            || *name == CONTENT_LENGTH
            || *name == EXPECT
            || *name == SEC_WEBSOCKET_KEY && forwarding.websocket.is_some()
            || forwarding.destination.is_some() && *name == DESTINATION;
        if !is_ours && hop_by_hop.covers(name) {
            takes_trailers |= *name == TE && lists_trailers(value);
            continue;
        }
        if is_ours || is_forged(name, forwarding.site) {
            continue;
        }
        if *name == COOKIE && forwarding.cookies != ShownCookies::All {
            let shown = || cookies::visible(value, forwarding.cookie_names);
            if forwarding.cookies == ShownCookies::Others
                && let Some(rest) = shown()
            {
                fields.put(name, &rest);
            }
        } else if *name == REFERER {
            let is_only = came.get_all(REFERER).into_iter().nth(1).is_none();
            if let Some(clean) = clean_referer(value, &forwarding.site.token_param).filter(|_| is_only) {
                fields.put(name, &clean);
            }
        } else {
            fields.put(name, value);
        }
    }
    forwarding.whereabouts.tell(came, forwarding.client, fields);
    fields.put_text(&X_REQUEST_ID, forwarding.request_id.as_bytes());
    if let Some(trace) = forwarding.trace {
        trace.tell(came, fields);
    }
    if forwarding.chromeless {
        fields.put_text(&X_TOLLGATE_CHROMELESS, b"1");
    }
    if let Some(class) = permit.class().filter(|_| forwarding.site.access_class) {
        fields.put_text(&X_ACCESS_CLASS, class);
    }
    if let Some(visitor) = permit.visitor() {
        match forwarding.introduction.filter(|introduction| introduction.is_of(visitor)) {
            Some(introduction) => {
                fields.put_lines(&introduction.lines, |fields| introduce(visitor, forwarding.site, fields));
            }
            None => introduce(visitor, forwarding.site, fields),
        }
        if let Some(assertion) = forwarding.assertion {
            fields.put(&X_TOLLGATE_ASSERTION, assertion);
        }
    }
    takes_trailers
}

/// Tells who is there.
fn introduce(visitor: &LiveSession, site: &Site, fields: &mut impl Fields) {
    for (rule, value) in site.identity.read(&visitor.headers) {
        fields.put_as(rule.name(), rule.written(), value);
    }
}

/// What an upstream is told of a visitor, written once for many requests.
#[derive(Debug)]
pub struct Introduction {
    visitor: Arc<LiveSession>,
    lines: Lines,
}

impl Introduction {
    /// The introduction of `visitor` to the upstream of `site`.
    pub fn new(visitor: Arc<LiveSession>, site: &Site) -> Self {
        let lines = Lines::of(|lines| introduce(&visitor, site, lines));
        Self { visitor, lines }
    }

    /// Whether it is `visitor`, and not only somebody like them.
    fn is_of(&self, visitor: &Arc<LiveSession>) -> bool {
        Arc::ptr_eq(&self.visitor, visitor)
    }
}

fn lists_trailers(codings: &HeaderValue) -> bool {
    codings
        .as_bytes()
        .split(|b| *b == b',')
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// A page that was asked for with a token that was not redeemed (a HEAD, a form) must not hand it
/// on by way of `Referer`. One that cannot be cleaned goes.
fn clean_referer<'a>(referer: &'a HeaderValue, token_param: &str) -> Option<Cow<'a, HeaderValue>> {
    let text = referer.to_str().ok()?;
    let Some((page, query)) = text.split_once('?') else { return Some(Cow::Borrowed(referer)) };
    // The gateway's own addresses carry tokens under other names.
    if page.contains("/.tollgate/") || page.contains("/api/") && query.contains("token") {
        return None;
    }
    let Some(extracted) = extract_token(query, token_param) else { return Some(Cow::Borrowed(referer)) };
    HeaderValue::from_str(&join(page, extracted.rest.as_deref())).ok().map(Cow::Owned)
}

/// The request target for the upstream: origin-form (RFC 9112 §3.2.1), with the path as it was
/// judged.
pub fn origin_form(path: &str, query: Option<&str>) -> Option<Uri> {
    Uri::try_from(join(path, query)).ok()
}
