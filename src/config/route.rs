//! `[[site.route]]`: the paths of a site that ask something else than the rest.

use http::Method;

use super::document::Read;
use super::requirement;
use super::section::Section;
use super::text::Text;
use crate::domain::access::{AccessLevel, Route};
use crate::domain::path::{PathPrefix, RequestPath};

/// What a site or a route can ask.
pub(super) const LEVELS: [(&str, AccessLevel); 3] =
    [("required", AccessLevel::Required), ("optional", AccessLevel::Optional), ("off", AccessLevel::Off)];

/// Reads one `[[site.route]]`.
pub(super) fn read(mut section: Section<'_>) -> Read<Route> {
    let prefix = section.required_text("path", "\"/public/\"").and_then(|text| prefix(&text));
    let methods = section.list("methods", |text| method(&text));
    // Who asks for a role asks for a session.
    let level = if section.has("require") {
        section.choice("access", AccessLevel::Required, &LEVELS)
    } else {
        section.required_text("access", "\"required\"").and_then(|text| text.choose(&LEVELS))
    };
    let require = section.section("require").and_then(requirement::read);
    let place = section.place_of("require");
    section.finish();
    let (level, require) = (level?, require?);
    if level != AccessLevel::Required && require.asks_who() {
        return Err(place.fault(
            "asks who is there on a path where nobody has to say",
            "set access = \"required\" or leave it out; with \"optional\" and \"off\" only networks can be asked for",
        ));
    }
    Ok(Route { prefix: prefix?, methods: methods?.unwrap_or_default(), level, require })
}

fn prefix(text: &Text<'_>) -> Read<PathPrefix> {
    if text.as_str().contains(['?', '#']) {
        return Err(text.refuse("has a query or a fragment, and rules judge the path alone", "leave it out"));
    }
    if text.as_str().contains('*') {
        return Err(text.refuse(
            "has a *, which stands for nothing but itself here",
            "leave it out: a path covers all that is below it, \"/public/\" just as well \"/public/a\"; a path with a * in it is written with %2A",
        ));
    }
    let remedy = "write it plainly, with a slash first, such as \"/public/\"";
    let prefix = PathPrefix::parse(text.as_str())
        .map_err(|fault| text.refuse(&format!("cannot be matched: {fault}"), remedy))?;
    let path = RequestPath::parse(text.as_str(), false);
    if path.is_ok_and(|path| path.is_reserved()) {
        return Err(text.refuse("lies where the gateway itself answers", "leave the route out"));
    }
    Ok(prefix)
}

fn method(text: &Text<'_>) -> Read<Method> {
    let name = text.as_str();
    let method = text.parse(
        |name| Method::from_bytes(name.as_bytes()).ok(),
        "is not an HTTP method",
        "write one such as \"GET\"; an empty list stands for all",
    )?;
    let upper = name.to_ascii_uppercase();
    if name != upper {
        return Err(text.refuse("would never match: methods are upper-case", &format!("write {upper:?}")));
    }
    if matches!(method, Method::CONNECT | Method::TRACE) {
        return Err(text.refuse("never reaches a site: the gateway refuses it", "leave it out"));
    }
    Ok(method)
}
