//! `[site.identity]`: the headers by which an upstream learns who is there.

use std::time::Duration;

use http::header::HeaderName;

use super::basic_auth;
use super::document::{Place, Read, Reported};
use super::preset::PRESETS;
use super::section::Section;
use super::settings::Assertions;
use super::text::Text;
use crate::domain::identity::{
    HeaderRule, HeaderTemplate, IdentityHeaders, TemplateFault, ValueEncoding, reads_like,
};

const ENCODINGS: [(&str, ValueEncoding); 4] = [
    ("utf8", ValueEncoding::Utf8),
    ("percent", ValueEncoding::Percent),
    ("base64url", ValueEncoding::Base64Url),
    ("rfc2047", ValueEncoding::Rfc2047),
];

const DAY: Duration = Duration::from_hours(24);

/// Reads `[site.identity]`: the headers, and whether there is a signed word besides.
pub(super) fn read(mut section: Section<'_>) -> Read<(IdentityHeaders, Option<Assertions>)> {
    let preset = preset(&mut section);
    let encoding = section.choice("encoding", ValueEncoding::default(), &ENCODINGS);
    let headers = section.texts_by_name("headers");
    let assertions = assertions(&mut section);
    let basic_auth = basic_auth::read(&mut section);
    let place_of_basic_auth = section.place_of("basic_auth");
    section.finish();
    let mut own: Vec<Read<HeaderRule>> = Vec::new();
    for (name, place, template) in headers? {
        let rule = template.and_then(|template| rule(name, &place, template)).and_then(|rule| {
            let others = own.iter().flatten();
            if others.clone().any(|other| other.name() == rule.name()) {
                return Err(written_twice(&place));
            }
            let others = others.chain(preset.iter().flatten()).map(HeaderRule::name);
            let taken_for =
                others.into_iter().find(|other| *other != rule.name() && alike(other, rule.name()));
            taken_for.map_or(Ok(rule), |other| Err(mistakable(&place, other)))
        });
        own.push(rule);
    }
    let own: Vec<HeaderRule> = own.into_iter().collect::<Read<_>>()?;
    let (preset, basic_auth) = (preset?, basic_auth?);
    if let Some(rule) = &basic_auth
        && let Some(other) = own.iter().chain(&preset).find(|other| alike(other.name(), rule.name()))
    {
        let problem = format!("the header {} of this site says who is there already", other.written());
        return Err(place_of_basic_auth.fault(problem, "leave one of them out"));
    }
    let headers = IdentityHeaders::new(preset.into_iter().chain(own).chain(basic_auth), encoding?);
    Ok((headers, assertions?))
}

/// `assertion` and `assertion_key_age`.
fn assertions(section: &mut Section<'_>) -> Read<Option<Assertions>> {
    let is_asked = section.flag("assertion", false);
    // A key is published for a day before it signs.
    let key_age = section.duration("assertion_key_age", 2 * DAY..=365 * DAY);
    match (is_asked?, key_age?) {
        (false, Some(_)) => Err(section
            .place_of("assertion_key_age")
            .fault("has no effect without assertion", "add assertion = true, or leave it out")),
        (is_asked, key_age) => Ok(is_asked.then(|| Assertions { key_age: key_age.unwrap_or(30 * DAY) })),
    }
}

fn preset(section: &mut Section<'_>) -> Read<Vec<HeaderRule>> {
    let choices = PRESETS.each_ref().map(|preset| (preset.name, preset.headers));
    let [(_, default), ..] = choices;
    let headers = section.choice("preset", default, &choices)?;
    let rule = |(name, template): &(&str, &str)| HeaderRule::new(name, HeaderTemplate::parse(template).ok()?);
    Ok(headers.iter().filter_map(rule).collect())
}

fn rule(name: &str, place: &Place<'_>, template: Text<'_>) -> Read<HeaderRule> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        place
            .fault("this is not a valid header name", "use letters, digits and -, such as \"X-WEBAUTH-USER\"")
    });
    let header = header.and_then(|header| match owner(header.as_str()) {
        Some(owner) => Err(place.fault(owner.problem(), "use a name of its own, such as \"X-WEBAUTH-USER\"")),
        None => Ok(header),
    });
    let template = if template.is_in_file() {
        fixed(template)
    } else {
        HeaderTemplate::parse(template.as_str()).map_err(|fault| refuse_template(&template, &fault))
    };
    header?;
    let unreadable = || place.fault("this is not a valid header name", "use letters, digits and -");
    HeaderRule::new(name, template?).ok_or_else(unreadable)
}

/// What stands in a file is the header as it is: a secret by which the upstream knows the gateway.
pub(super) fn fixed(text: Text<'_>) -> Read<HeaderTemplate> {
    let (place, secret) = text.into_secret()?;
    let refuse = |_| place.fault("what is in the file has control characters", "leave them out");
    HeaderTemplate::fixed(secret.expose()).map_err(refuse)
}

/// The template itself is not told: it may be a secret by which the upstream knows the gateway.
fn refuse_template(template: &Text<'_>, fault: &TemplateFault) -> Reported {
    const FIELDS: &str = "fields are {id}, {email}, {full_name}, {first_name}, {last_name}, {role}, \
                          {groups}, {plans}, {session_id} and {attributes.NAME}; {groups:|} has another delimiter";
    match (fault, template.literal()) {
        // The name may come out of a variable, and those are not shown.
        (TemplateFault::UnknownField(name), Some(_)) => {
            template.place.fault(format!("names {name:?}, which is not a field"), FIELDS)
        }
        (TemplateFault::UnknownField(_), None) => {
            template.place.fault("names something that is not a field", FIELDS)
        }
        (TemplateFault::NotAlone, _) => template
            .place
            .fault("has more than the list that makes a line for each value", "leave the rest out"),
        (TemplateFault::Unbalanced, _) => template.place.fault("has braces that do not pair up", FIELDS),
        (TemplateFault::Control, _) => {
            template.place.fault("has control characters, which no header can carry", "leave them out")
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
        | "x-real-ip" | "x-request-id" | "x-access-class" | "x-access-required" => Owner::Forwarding,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

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
            ("X_Access_Class", Some(Owner::Forwarding)),
            ("X-Access-Required", Some(Owner::Forwarding)),
            ("Authorization", None),
            ("X-Forwarded-User", None),
            ("X-WEBAUTH-USER", None),
        ] {
            assert_eq!(owner(name), expected, "{name}");
        }
    }

    #[test]
    fn every_preset_is_whole_and_documented() {
        let documents = include_str!("../../docs/presets.md");
        assert_eq!(PRESETS[0].name, preset::DEFAULT);
        for preset in &PRESETS {
            assert!(documents.contains(&format!("`{}`", preset.name)), "{}", preset.name);
            for (name, template) in preset.headers {
                let template = HeaderTemplate::parse(template).unwrap();
                assert!(HeaderRule::new(name, template).is_some() && owner(name).is_none(), "{name}");
                assert!(documents.contains(&format!("`{name}`")), "{}: {name}", preset.name);
            }
        }
    }
}
