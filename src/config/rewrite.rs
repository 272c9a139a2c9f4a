//! `[site.rewrite]`: what upstreams' answers say of addresses that visitors do not have.

use super::document::{Place, Read};
use super::section::Section;
use super::text::Text;
use super::upstream::Upstream;
use crate::domain::host::{Authority, Origin};
use crate::domain::path::PathPrefix;
use crate::domain::relocation::{Move, Relocations};

/// Reads `[site.rewrite]` of a site whose upstreams are known by now, if they are in order.
pub(super) fn read(mut section: Section<'_>, upstreams: &[Upstream]) -> Read<Relocations> {
    let moves = entries(&mut section, "location", |from, place, to| {
        let from = address(from, place);
        let to = path(to);
        let ((origin, from), to) = (from?, to?);
        Ok(Move { origin, from, to })
    });
    let domains = entries(&mut section, "cookie_domain", |from, place, to| {
        let remedy = "write a host name, such as \"app.internal\"";
        let from = domain(from).ok_or_else(|| place.fault("this is not a valid domain", remedy));
        let remedy = "write a host name, or \"\" to leave the domain out";
        let to = match to.as_str() {
            "" => Ok(String::new()),
            _ => to.parse(domain, "is not a domain", remedy),
        };
        Ok((from?, to?))
    });
    let paths = entries(&mut section, "cookie_path", |from, place, to| {
        let remedy = "write one such as \"/app\"";
        let from = prefix(from).ok_or_else(|| place.fault("this is not a valid path", remedy));
        let to = path(to);
        Ok((from?, to?))
    });
    section.finish();
    let own = upstreams.iter().filter_map(Upstream::origin).collect();
    Ok(Relocations::new(own, moves?, domains?, paths?))
}

/// The entries of the table `name`, each read by `read`. All of them are read, whatever becomes of the
/// first.
fn entries<T>(
    section: &mut Section<'_>,
    name: &'static str,
    read: impl Fn(&str, &Place<'_>, &Text<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let entries = section.texts_by_name(name)?;
    let entries: Vec<Read<T>> =
        entries.into_iter().map(|(from, place, to)| read(from, &place, &to?)).collect();
    entries.into_iter().collect()
}

/// What is spoken of: a URL, or a path wherever the upstream itself is.
fn address(text: &str, place: &Place<'_>) -> Read<(Option<Origin>, PathPrefix)> {
    let read = || {
        if text.starts_with('/') {
            return Some((None, prefix(text)?));
        }
        let behind_scheme = text.find("://")? + "://".len();
        let (_, rest) = text.split_at_checked(behind_scheme)?;
        let (origin, path) = text.split_at_checked(behind_scheme + rest.find('/').unwrap_or(rest.len()))?;
        Some((Some(Origin::parse(origin)?), prefix(if path.is_empty() { "/" } else { path })?))
    };
    let problem = "this is neither a URL nor a path";
    let remedy = "write one such as \"http://old.internal:8080/app/\", without a query or user information";
    read().ok_or_else(|| place.fault(problem, remedy))
}

fn path(text: &Text<'_>) -> Read<PathPrefix> {
    text.parse(prefix, "is not a path on the site", "write one such as \"/\" or \"/app/\"")
}

/// A path that means the same in a URL and in a cookie.
fn prefix(text: &str) -> Option<PathPrefix> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !br#"?#;\"<>"#.contains(&byte));
    if !is_plain || text.contains("//") {
        return None;
    }
    PathPrefix::parse(text).ok()
}

fn domain(text: &str) -> Option<String> {
    let authority = Authority::parse(text.strip_prefix('.').unwrap_or(text))?;
    authority.port().is_none().then(|| authority.host().to_owned())
}
