//! `tollgate check`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use zeroize::Zeroizing;

use super::explain::Explain;
use super::{difference, say, say_error};
use crate::config::{self, Environment, Settings};
use crate::domain::clock::{Clock as _, SystemClock};

/// Validates a file; its faults go to stderr, one a line.
pub(super) fn run(
    file: &Path,
    old: Option<&Path>,
    explain: &Explain,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    match read(file, environment)? {
        Ok(settings) if explain.is_wanted() => explain.run(settings),
        Ok(settings) if let Some(old) = old => difference::run(&settings, file, old, environment),
        Ok(settings) => {
            let (sites, keys) = (settings.sites.len(), settings.api_keys.len());
            for warning in settings.warnings(SystemClock.now()) {
                say_error(format_args!("warning: {warning}"));
            }
            for file in [&settings.log.access_file, &settings.log.audit_file].into_iter().flatten() {
                if let Some(folder) = missing_folder(file) {
                    let problem = "is to be written to a folder that does not exist";
                    let remedy = "make it before the gateway starts: mkdir -p";
                    say_error(format_args!(
                        "warning: {} {problem} — {remedy} {}",
                        file.display(),
                        folder.display()
                    ));
                }
            }
            if is_everybodys(file) {
                let problem =
                    "can be written by everybody on this machine, who could then decide who gets in";
                let remedy = "remove that permission: chmod o-w";
                say_error(format_args!("warning: {} {problem} — {remedy}", file.display()));
            }
            say(format_args!("{} is valid: {sites} site(s), {keys} API key(s)", file.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(faults) => {
            print(&faults);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Reads and validates a file.
pub(super) fn read(
    file: &Path,
    environment: &Environment,
) -> anyhow::Result<Result<Settings, config::Faults>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = String::from_utf8(text).with_context(|| format!("{} is not UTF-8", file.display()))?;
    // There may be secrets in it.
    let text = Zeroizing::new(text);
    Ok(config::load(&text, &file.display().to_string(), environment))
}

/// Prints every fault.
pub(super) fn print(faults: &config::Faults) {
    for line in faults.to_string().lines() {
        say_error(format_args!("{line}"));
    }
}

/// The folder of `file`, if there is none.
fn missing_folder(file: &Path) -> Option<&Path> {
    file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
}

/// Whether others than its owner and group may write the file.
fn is_everybodys(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|about| about.permissions().mode() & 0o002 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none");
        assert_eq!(missing_folder(&missing.join("a.log")), Some(missing.as_path()));
        assert_eq!(missing_folder(&folder.path().join("a.log")), None);
        assert_eq!(missing_folder(Path::new("a.log")), None);
    }

    #[test]
    fn a_file_that_everybody_may_write_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, noticed) in [(0o600, false), (0o664, false), (0o644, false), (0o646, true), (0o777, true)]
        {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_everybodys(file.path()), noticed, "{mode:o}");
        }
    }
}
