//! `tollgate check --diff FILE`: what would change if the configuration took the place of another.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::{check, say};
use crate::app;
use crate::config::{Environment, Settings, Site, differences};

/// Tells how `settings`, which were read from the file `new`, differ from what is in the file `old`, line by
/// line, and what that takes.
pub(super) fn run(
    settings: &Settings,
    new: &Path,
    old: &Path,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let before = match check::read(old, environment)? {
        Ok(before) => before,
        Err(faults) => {
            check::print(&faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    let text = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let differing = differences(&text(old)?, &text(new)?);
    if differing.is_empty() {
        say(format_args!("nothing changes"))?;
    }
    for difference in differing {
        for (sign, value) in [('-', difference.was), ('+', difference.is)] {
            if let Some(value) = value {
                say(format_args!("{sign} {} = {value}", difference.key))?;
            }
        }
    }
    // Who has the cookie of another name has none.
    let goes_on = |site: &&Arc<Site>| {
        settings
            .sites
            .iter()
            .any(|other| (&other.name, &other.cookie.name) == (&site.name, &site.cookie.name))
    };
    for gone in before.sites.iter().filter(|site| !goes_on(site)) {
        say(format_args!("the sessions of {} end", gone.name))?;
    }
    let fixed = app::fixed(&before, settings);
    if !fixed.is_empty() {
        say(format_args!("needs a restart: {}", fixed.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}
