//! `tollgate key rotate`: another secret for an API key, or another key to sign with.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};
use http::Method;
use serde_json::{Value, json};

use super::call::{Control, line, promised};
use super::{ConfigFile, check, say};
use crate::config::{self, Environment, FreshSecrets, Rotated};
use crate::domain::clock::{Clock as _, SystemClock};
use crate::domain::entropy::SystemEntropy;
use crate::domain::opaque::SessionKey;
use crate::domain::secret::Secret;

/// As long as an API key may be on its way out.
const MAX_OVERLAP: Duration = Duration::from_hours(366 * 24);

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["name", "signing"]).required(true))]
pub(super) struct Rotate {
    /// The name of the `[[api_key]]`.
    name: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    /// How long the old secret stays valid; 0s ends it at once, for instance if it has leaked.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = overlap)]
    overlap: Duration,
    /// Change the configuration file instead of printing what to change.
    #[arg(long, conflicts_with = "signing")]
    write: bool,
    /// Rotate the keys with which sites sign assertions.
    #[arg(long)]
    signing: bool,
    /// With --signing: only for this site.
    #[arg(long, conflicts_with = "name")]
    site: Option<String>,
    /// With --signing: sign with the new key at once and stop publishing the old ones, because somebody else
    /// may have them.
    #[arg(long, conflicts_with = "name")]
    compromised: bool,
    #[command(flatten)]
    control: Control,
}

fn overlap(text: &str) -> Result<Duration, &'static str> {
    let duration = config::duration(text).filter(|duration| *duration <= MAX_OVERLAP);
    duration.ok_or("write a duration such as 24h or 7d, of a year at most")
}

impl Rotate {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        match &self.name {
            Some(name) => self.rotate_key(name, environment),
            None => self.rotate_signing_keys(environment),
        }
    }

    fn rotate_signing_keys(&self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let order = json!({ "site": self.site, "compromised": self.compromised });
        let answer =
            self.control.client(environment)?.call(Method::POST, "/v1/signing_keys", Some(&order))?;
        let keys = promised(&answer, "signing_keys", Value::is_array)?.as_array();
        let keys = keys.filter(|keys| !keys.is_empty());
        for key in keys.context("there is no such site that signs (assertion = true)")? {
            say(format_args!("{}", line(key, &["site", "id", "published_at", "signs_from", "is_signing"])))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn rotate_key(&self, name: &str, environment: &Environment) -> anyhow::Result<ExitCode> {
        // What a link leads to is changed, and not the link.
        let path = fs::canonicalize(&self.file.config);
        let path = path.with_context(|| format!("cannot find {}", self.file.config.display()))?;
        let before = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let load = |text: &str| config::load(text, &self.file.config.display().to_string(), environment);
        let settings = match load(&before) {
            Ok(settings) => settings,
            Err(faults) => {
                check::print(&faults);
                bail!("the file has faults: nothing is changed");
            }
        };
        let index = settings.api_keys.iter().position(|key| key.name == name);
        let index = index.with_context(|| format!("there is no [[api_key]] with name = {name:?}"))?;
        let key = settings.api_keys.get(index).context("there is no such key")?;
        let now = SystemClock.now();
        let end =
            key.proofs.iter().filter(|proof| !proof.is_previous).filter_map(|proof| proof.expires_at).min();
        if let Some(end) = end.filter(|end| *end <= now) {
            bail!("the key has ended on {}: give it another expires_at, or none, first", end.to_rfc3339());
        }
        let until = Some(self.overlap).filter(|overlap| !overlap.is_zero()).map(|overlap| now.after(overlap));
        let fresh = fresh();
        let rotated = config::rotate(&before, index, key, &fresh, until)?;
        if let Err(faults) = load(&rotated.file) {
            check::print(&faults);
            bail!("the file would have faults: nothing is changed");
        }
        // First of all: a secret that nobody has seen must not be in force.
        show(&fresh, &rotated)?;
        if !self.write {
            let file = self.file.config.display();
            say(format_args!(
                "\nWrite this in the place of the key in {file}, or let --write do it:\n\n{}",
                rotated.entry.trim_end()
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        replace(&path, &before, &rotated.file)
            .context("the file is as it was, and what is printed above is good for nothing")?;
        let until = until.map_or_else(
            || "no secret that the key had counts from then on".to_owned(),
            |until| {
                format!(
                    "the old secret counts until {}",
                    end.map_or(until, |end| end.min(until)).to_rfc3339()
                )
            },
        );
        say(format_args!(
            "\n{} is changed, and a running gateway notices within seconds; {until}",
            path.display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn fresh() -> FreshSecrets {
    let mint = || Secret::new(SessionKey::mint(&SystemEntropy).expose());
    FreshSecrets { bearer: mint(), consumer_secret: mint(), access_secret: mint() }
}

/// Prints the new secrets, this once.
fn show(fresh: &FreshSecrets, rotated: &Rotated) -> anyhow::Result<()> {
    if rotated.bearer {
        let (key, hash) = (fresh.bearer.expose(), fresh.bearer.hash().to_hex());
        say(format_args!("key            {key}\nsecret_sha256  {hash}"))?;
    }
    if rotated.oauth1 {
        let (consumer, access) = (fresh.consumer_secret.expose(), fresh.access_secret.expose());
        say(format_args!("consumer_secret  {consumer}\naccess_secret    {access}"))?;
    }
    Ok(())
}

/// Puts `after` into the file at `path`, whole or not at all, if it still says what it said `before`. It
/// keeps its owner, its group and who may read it.
fn replace(path: &Path, before: &str, after: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("the file is in no folder")?;
    let name = path.file_name().context("the file has no name")?.to_string_lossy();
    let draft = Draft(folder.join(format!(".{name}.{}.new", std::process::id())));
    let about = fs::metadata(path)?;
    // Nobody else may read it before it is known who may.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.0);
    let mut file = file.with_context(|| format!("cannot write in {}", folder.display()))?;
    file.write_all(after.as_bytes())?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (about.uid(), about.gid()) {
        fchown(&file, Some(about.uid()), Some(about.gid()))
            .context("the file belongs to somebody else: change it as that user, or as root")?;
    }
    file.set_permissions(about.permissions())?;
    file.sync_all()?;
    if fs::read(path)? != before.as_bytes() {
        bail!("somebody else has changed {} meanwhile: nothing is changed", path.display());
    }
    fs::rename(&draft.0, path)?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// A file that is to take another's place, and is gone if it does not.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _it_took_its_place = fs::remove_file(&self.0);
    }
}
