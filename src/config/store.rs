//! `[store]`: where tokens, sessions and users are kept.

use std::path::{Path, PathBuf};

use super::document::Read;
use super::redis;
use super::section::Section;
use super::settings::StoreSettings;

/// The folder of the embedded store where none is named, from where the configuration lies.
const FOLDER: &str = "data";

#[derive(Clone, Copy)]
enum Kind {
    Memory,
    Embedded,
    Redis,
}

/// Reads `[store]`, all of which has defaults.
pub(super) fn read(mut section: Section<'_>) -> Read<StoreSettings> {
    let kind = kind(&mut section);
    let is_elsewhere = matches!(kind, Ok(Kind::Memory | Kind::Redis));
    let path = path(&mut section, is_elsewhere);
    let redis = match kind {
        Ok(Kind::Redis) => redis::read(&mut section).map(Some),
        _ => redis::refuse(&mut section).map(|()| None),
    };
    section.finish();
    let (kind, path, redis) = (kind?, path?, redis?);
    Ok(match (kind, redis) {
        (_, Some(redis)) => StoreSettings::Redis(redis),
        (Kind::Memory | Kind::Redis, None) => StoreSettings::Memory,
        (Kind::Embedded, None) => StoreSettings::Embedded { path },
    })
}

fn kind(section: &mut Section<'_>) -> Read<Kind> {
    let Some(kind) = section.text("kind")? else { return Ok(Kind::Embedded) };
    match kind.as_str() {
        "memory" => Ok(Kind::Memory),
        "embedded" => Ok(Kind::Embedded),
        "redis" => Ok(Kind::Redis),
        _ => Err(kind.refuse("is not a kind of store", "use \"embedded\", \"memory\" or \"redis\"")),
    }
}

/// The folder of the embedded store; a store that is elsewhere has none.
fn path(section: &mut Section<'_>, is_elsewhere: bool) -> Read<PathBuf> {
    let Some(path) = section.text("path")? else {
        let file = Path::new(section.place().document.file());
        return Ok(file.parent().map_or_else(|| FOLDER.into(), |folder| folder.join(FOLDER)));
    };
    if is_elsewhere {
        return Err(path
            .place
            .fault("is for the embedded store", "leave it out, or use kind = \"embedded\""));
    }
    if path.as_str().is_empty() {
        return Err(
            path.refuse("is not a valid folder path", "write one such as \"data\" or \"/var/lib/tollgate\"")
        );
    }
    Ok(path.to_path())
}
