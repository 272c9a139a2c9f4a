//! `[site.cookie]`: what the session cookie is called and when browsers send it.

use super::document::Read;
use super::section::Section;
use super::settings::{SameSite, SiteCookie};
use crate::domain::host::{Origin, Scheme};

const SAME_SITE: [(&str, SameSite); 3] =
    [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];

/// Reads `[site.cookie]` of a site whose `public_url` is known by now, and whether other sites' pages
/// may show it in a frame: no browser sends any other cookie than `none` there, so that nothing else
/// has to be written, nor may be.
pub(super) fn read(
    mut section: Section<'_>,
    public_url: &Read<Option<Origin>>,
    embeds: bool,
) -> Read<SiteCookie> {
    let name = section.text("name").and_then(|text| match text {
        None => Ok("tollgate".to_owned()),
        Some(text) => text.parse(
            |name| is_name(name).then(|| name.to_owned()),
            "cannot be the name of the cookie",
            "use 1 to 64 letters, digits, - or _, without __Host- or __Secure- in front (which are added \
             where they belong) and without _state or _chromeless at the end (which other cookies have)",
        ),
    });
    let same_site = section.text("same_site").and_then(|text| {
        let Some(text) = text else {
            return Ok(if embeds { SameSite::None } else { SameSite::Lax });
        };
        let same_site = text.choose(&SAME_SITE)?;
        if embeds {
            return (same_site == SameSite::None).then_some(same_site).ok_or_else(|| {
                text.refuse(
                    "keeps the cookie out of the frames that embed_origins is for",
                    "leave it out, or use \"none\"",
                )
            });
        }
        // Of a public_url that could not be read there is nothing more to say.
        let plain = matches!(public_url, Ok(origin) if !origin.as_ref().is_some_and(is_https));
        if same_site == SameSite::None && plain {
            return Err(text.refuse(
                "needs a public_url with https: browsers drop such a cookie on plain HTTP",
                "set the site's public_url = \"https://…\", or use \"lax\"",
            ));
        }
        Ok(same_site)
    });
    section.finish();
    Ok(SiteCookie { name: name?, same_site: same_site? })
}

fn is_https(origin: &Origin) -> bool {
    origin.scheme() == Scheme::Https
}

/// A token (RFC 6265 §4.1.1) that leaves the prefixes and the other cookies' names alone. Browsers
/// compare the prefixes without case.
fn is_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let lower = name.to_ascii_lowercase();
    (1..=64).contains(&name.len())
        && name.bytes().all(token)
        && !["__host-", "__secure-"].iter().any(|prefix| lower.starts_with(prefix))
        && !["_state", "_person", "_fragment", "_chromeless"].iter().any(|suffix| lower.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_name_is_a_token_of_its_own() {
        for name in ["tollgate", "a", "Intranet_Session", "a.b~c", "stateful", "x__Host-"] {
            assert!(is_name(name), "{name}");
        }
        let long = "x".repeat(65);
        for name in [
            "",
            "a b",
            "a=b",
            "a;b",
            "a,b",
            "\"a\"",
            "é",
            "__Host-a",
            "__host-a",
            "__SECURE-a",
            "a_state",
            "a_Chromeless",
            "a_Person",
            "a_fragment",
            &long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
