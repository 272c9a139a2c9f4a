//! `require` of a `[[site.route]]`: what a session is not enough for.

use ipnet::IpNet;

use super::document::Read;
use super::section::Section;
use super::text::Text;
use super::units;
use crate::domain::access::Requirement;
use crate::domain::host::HostPattern;
use crate::domain::user::Role;

/// Reads one `require`.
pub(super) fn read(mut section: Section<'_>) -> Read<Requirement> {
    let backend = section.flag("backend", false);
    let roles = section.list("roles", |text| role(&text));
    let groups = section.list("groups", |text| word(&text));
    let plans = section.list("plans", |text| word(&text));
    let email_domains = section.list("email_domains", |text| domain(&text));
    let networks = section.list("networks", |text| network(&text));
    section.finish();
    Ok(Requirement {
        backend: backend?,
        roles: roles?.unwrap_or_default(),
        groups: groups?.unwrap_or_default(),
        plans: plans?.unwrap_or_default(),
        email_domains: email_domains?.unwrap_or_default(),
        networks: networks?.unwrap_or_default(),
    })
}

fn role(text: &Text<'_>) -> Read<Role> {
    text.parse(Role::parse, "is not a role", "use 1 to 64 letters, digits, ., _, : or -")
}

fn word(text: &Text<'_>) -> Read<String> {
    let is_word = |word: &str| !word.trim().is_empty() && !word.contains(char::is_control);
    text.parse(|word| is_word(word).then(|| word.to_owned()), "is empty", "write it as the login page does")
}

fn domain(text: &Text<'_>) -> Read<String> {
    let remedy = "write the part behind the @, such as \"example.com\"; each subdomain on its own";
    text.parse(
        |domain| match HostPattern::parse(domain) {
            Some(HostPattern::Exact(host)) => Some(host),
            _ => None,
        },
        "is not the domain of an address",
        remedy,
    )
}

fn network(text: &Text<'_>) -> Read<IpNet> {
    let remedy = "write an address or a network, such as \"10.0.0.0/8\"";
    text.parse(units::network, "is not a network", remedy)
}
