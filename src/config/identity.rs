//! `[site.identity]`: the headers by which an upstream learns who is there.

use http::header::HeaderName;

use super::document::{Place, Read, Reported};
use super::section::Section;
use super::text::Text;
use crate::domain::identity::{HeaderTemplate, IdentityHeaders, TemplateFault, ValueEncoding, reads_like};

/// The headers that every site sends unless it gives them another template.
const DEFAULT_PRESET: [(&str, &str); 5] = [
    ("X-Forwarded-User", "{id}"),
    ("X-Forwarded-Email", "{email}"),
    ("X-Forwarded-Name", "{full_name}"),
    ("X-Forwarded-Role", "{role}"),
    ("X-Forwarded-Groups", "{groups}"),
];

const ENCODINGS: [(&str, ValueEncoding); 4] = [
    ("utf8", ValueEncoding::Utf8),
    ("percent", ValueEncoding::Percent),
    ("base64url", ValueEncoding::Base64Url),
    ("rfc2047", ValueEncoding::Rfc2047),
];

type Rule = (HeaderName, HeaderTemplate);

/// Reads `[site.identity]`.
pub(super) fn read(mut section: Section<'_>) -> Read<IdentityHeaders> {
    let preset = preset(&mut section);
    let encoding = section.choice("encoding", ValueEncoding::default(), &ENCODINGS);
    let headers = section.texts_by_name("headers");
    section.later(&["assertion"]);
    section.finish();
    let mut own: Vec<Read<Rule>> = Vec::new();
    for (name, place, template) in headers? {
        let rule = template.and_then(|template| rule(name, &place, &template)).and_then(|rule| {
            let others = own.iter().flatten();
            if others.clone().any(|(other, _)| *other == rule.0) {
                return Err(written_twice(&place));
            }
            let others = others.chain(preset.iter().flatten()).map(|(other, _)| other);
            let taken_for = others.into_iter().find(|other| **other != rule.0 && alike(other, &rule.0));
            taken_for.map_or(Ok(rule), |other| Err(mistakable(&place, other)))
        });
        own.push(rule);
    }
    let own: Vec<Rule> = own.into_iter().collect::<Read<_>>()?;
    Ok(IdentityHeaders::new(preset?.into_iter().chain(own), encoding?))
}

fn preset(section: &mut Section<'_>) -> Read<Vec<Rule>> {
    if let Some(preset) = section.text("preset")?.filter(|preset| preset.as_str() != "default") {
        let remedy = "use \"default\", and name the headers yourself under [site.identity.headers]";
        return Err(preset.refuse("is not available in this version", remedy));
    }
    let rule = |(name, template): (&str, &str)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderTemplate::parse(template).ok()?))
    };
    Ok(DEFAULT_PRESET.into_iter().filter_map(rule).collect())
}

fn rule(name: &str, place: &Place<'_>, template: &Text<'_>) -> Read<Rule> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        place.fault("this is no header name", "use letters, digits and -, such as \"X-WEBAUTH-USER\"")
    });
    let header = header.and_then(|header| match owner(header.as_str()) {
        Some(owner) => Err(place.fault(owner.problem(), "use a name of its own, such as \"X-WEBAUTH-USER\"")),
        None => Ok(header),
    });
    let template =
        HeaderTemplate::parse(template.as_str()).map_err(|fault| refuse_template(template, &fault));
    Ok((header?, template?))
}

fn refuse_template(template: &Text<'_>, fault: &TemplateFault) -> Reported {
    const FIELDS: &str = "fields are {id}, {email}, {full_name}, {first_name}, {last_name}, {role}, \
                          {groups}, {plans}, {session_id} and {attributes.NAME}";
    match (fault, template.literal()) {
        // The name may come out of a variable, and those are not shown.
        (TemplateFault::UnknownField(name), Some(_)) => {
            template.refuse(&format!("names {name:?}, which is no field"), FIELDS)
        }
        (TemplateFault::UnknownField(_), None) => template.refuse("names something that is no field", FIELDS),
        (TemplateFault::Unbalanced, _) => template.refuse("has braces that do not pair up", FIELDS),
        (TemplateFault::Control, _) => {
            template.refuse("has control characters, which no header can carry", "leave them out")
        }
    }
}

fn written_twice(place: &Place<'_>) -> Reported {
    place.fault("the header is written twice, as case makes no difference", "leave one of them out")
}

fn mistakable(place: &Place<'_>, other: &HeaderName) -> Reported {
    place.fault(
        format!("an application may take this header for {other}, which is sent too"),
        "give it a name that differs in more than case, -, _ and ., or leave one of them out",
    )
}

/// Whether an application may take one for the other: some read `_` and `.` as `-`.
fn alike(one: &HeaderName, other: &HeaderName) -> bool {
    reads_like(one.as_str().as_bytes(), other.as_str().replace(['_', '.'], "-").as_bytes())
}

/// Why a header cannot carry identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Framing,
    Cookies,
    Forwarding,
}

impl Owner {
    fn problem(self) -> &'static str {
        match self {
            Self::Framing => "this header belongs to the connection or the message itself",
            Self::Cookies => "this header carries cookies",
            Self::Forwarding => "the gateway sets this header itself",
        }
    }
}

/// Who a header already belongs to. `_` and `.` are read as `-`, as upstreams may do.
fn owner(name: &str) -> Option<Owner> {
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    Some(match name.as_str() {
        "connection" | "expect" | "host" | "keep-alive" | "te" | "trailer" | "transfer-encoding"
        | "upgrade" => Owner::Framing,
        _ if name.starts_with("proxy-") || name.starts_with("content-") => Owner::Framing,
        "cookie" | "set-cookie" => Owner::Cookies,
        "forwarded" | "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-port" | "x-forwarded-proto"
        | "x-real-ip" | "x-request-id" => Owner::Forwarding,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_mean_something_else_cannot_carry_identity() {
        for (name, expected) in [
            ("Connection", Some(Owner::Framing)),
            ("CONTENT-LENGTH", Some(Owner::Framing)),
            ("content_type", Some(Owner::Framing)),
            ("Proxy-Authorization", Some(Owner::Framing)),
            ("Host", Some(Owner::Framing)),
            ("Set-Cookie", Some(Owner::Cookies)),
            ("X.Forwarded.For", Some(Owner::Forwarding)),
            ("X_Real_IP", Some(Owner::Forwarding)),
            ("X-Request-Id", Some(Owner::Forwarding)),
            ("Authorization", None),
            ("X-Forwarded-User", None),
            ("X-WEBAUTH-USER", None),
        ] {
            assert_eq!(owner(name), expected, "{name}");
        }
    }

    #[test]
    fn the_default_preset_is_whole() {
        for (name, template) in DEFAULT_PRESET {
            assert!(HeaderName::from_bytes(name.as_bytes()).is_ok(), "{name}");
            assert!(HeaderTemplate::parse(template).is_ok(), "{name}");
        }
    }
}
