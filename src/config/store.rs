//! `[store]`: where tokens, sessions and users are kept.

use super::document::Read;
use super::redis;
use super::section::Section;
use super::settings::StoreSettings;

/// Reads `[store]`.
pub(super) fn read(mut section: Section<'_>) -> Read<StoreSettings> {
    let kind = section.text("kind")?;
    let settings = match &kind {
        None => Ok(StoreSettings::Memory),
        Some(kind) => match kind.as_str() {
            "memory" => Ok(StoreSettings::Memory),
            "redis" => redis::read(&mut section).map(StoreSettings::Redis),
            "embedded" => Err(kind.refuse("is not available in this version", "use \"memory\" or \"redis\"")),
            _ => Err(kind.refuse("is not a kind of store", "use \"memory\" or \"redis\"")),
        },
    };
    section.later(&["path"]);
    section.finish();
    settings
}
