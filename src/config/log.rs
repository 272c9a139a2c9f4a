//! `[log]`: what is written down of requests, and of what changes who is let in.

use std::path::PathBuf;

use super::document::Read;
use super::same_file::is_same_file;
use super::section::Section;

/// `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines on stderr are written; `None` for one JSON object a line. The command line wins.
    pub format: Option<LogFormat>,
    /// How there is a line for each request; `None` for the way of all other lines.
    pub access: Option<AccessFormat>,
    /// Where these go, if not to stderr.
    pub access_file: Option<PathBuf>,
    /// Where the audit log goes, if not to stderr.
    pub audit_file: Option<PathBuf>,
}

/// How lines on stderr are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for reading.
    Text,
}

/// How requests are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// One JSON object per line.
    Json,
    /// The combined format of Apache.
    Combined,
    /// They are not.
    Off,
}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLines {
    /// A JSON object.
    Json,
    /// Text for reading, as all other lines on stderr are.
    Text,
    /// The combined format of Apache.
    Combined,
}

impl LogSettings {
    /// How requests are written down; `None` if they are not.
    pub fn lines(&self) -> Option<AccessLines> {
        let is_among_text = self.access_file.is_none() && self.format == Some(LogFormat::Text);
        match self.access {
            Some(AccessFormat::Off) => None,
            Some(AccessFormat::Combined) => Some(AccessLines::Combined),
            None if is_among_text => Some(AccessLines::Text),
            Some(AccessFormat::Json) | None => Some(AccessLines::Json),
        }
    }
}

/// Reads `[log]`, all of which has defaults.
pub(super) fn read(mut section: Section<'_>) -> Read<LogSettings> {
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let format = section.text("format").and_then(|text| text.map(|text| text.choose(&formats)).transpose());
    let accesses =
        [("json", AccessFormat::Json), ("combined", AccessFormat::Combined), ("off", AccessFormat::Off)];
    let access = section.text("access").and_then(|text| text.map(|text| text.choose(&accesses)).transpose());
    let access_file = file(&mut section, "access_file");
    let audit_file = file(&mut section, "audit_file");
    let [access_place, audit_place] = ["access_file", "audit_file"].map(|name| section.place_of(name));
    section.finish();
    if let (Ok(Some(AccessFormat::Off)), Ok(Some(_))) = (&access, &access_file) {
        return Err(access_place.fault(
            "is for an access log, and there is none with access = \"off\"",
            "leave one of them out",
        ));
    }
    if let (Ok(Some(access)), Ok(Some(audit))) = (&access_file, &audit_file)
        && is_same_file(access, audit)
    {
        return Err(audit_place.fault(
            "is the access_file too",
            "name a file of its own: the two logs are read by different people and kept for different times",
        ));
    }
    Ok(LogSettings { format: format?, access: access?, access_file: access_file?, audit_file: audit_file? })
}

fn file(section: &mut Section<'_>, name: &'static str) -> Read<Option<PathBuf>> {
    let Some(path) = section.text(name)? else { return Ok(None) };
    if path.as_str().is_empty() || path.as_str().ends_with('/') {
        return Err(
            path.refuse("is not a valid file path", "write one such as \"/var/log/tollgate/access.log\"")
        );
    }
    Ok(Some(path.to_path()))
}
