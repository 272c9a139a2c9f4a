//! `[store]`: where tokens, sessions and users are kept.

use super::document::Read;
use super::section::Section;
use super::settings::StoreKind;

/// Reads `[store]`.
pub(super) fn read(mut section: Section<'_>) -> Read<StoreKind> {
    let kind = section.text("kind");
    section.later(&["path", "url"]);
    section.finish();
    let Some(kind) = kind? else {
        return Ok(StoreKind::Memory);
    };
    match kind.as_str() {
        "memory" => Ok(StoreKind::Memory),
        "embedded" | "redis" => Err(kind.refuse("is not available in this version", "use \"memory\"")),
        _ => Err(kind.refuse("is not a kind of store", "use \"memory\"")),
    }
}
