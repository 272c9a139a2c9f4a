//! `embed_origins`: whose pages may show a site in a frame.

use super::document::Read;
use super::section::Section;
use crate::domain::host::{Origin, Scheme};

/// Reads `embed_origins` of a site whose `public_url` is known by now.
///
/// Frames of other sites get no cookie but a `Secure` one, so that without https nobody could ever sign
/// in there. And whoever stands between a visitor and a page without https can put any page in its
/// place: to let such an origin frame the site is to let everybody.
pub(super) fn read(section: &mut Section<'_>, public_url: &Read<Option<Origin>>) -> Read<Vec<Origin>> {
    let origins = section.list("embed_origins", |text| {
        let is_https = |origin: &Origin| origin.scheme() == Scheme::Https;
        text.parse(
            |text| Origin::parse(text).filter(is_https),
            "is not an origin over https",
            "write https and host, such as \"https://partner.example\"",
        )
    });
    let origins = origins?.unwrap_or_default();
    // Of a public_url that could not be read there is nothing more to say.
    let plain =
        matches!(public_url, Ok(origin) if origin.as_ref().is_none_or(|own| own.scheme() == Scheme::Http));
    if plain && !origins.is_empty() {
        return Err(section.place_of("embed_origins").fault(
            "needs a public_url with https: without it browsers keep cookies out of frames",
            "set the site's public_url = \"https://…\"",
        ));
    }
    Ok(origins)
}
