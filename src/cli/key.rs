//! `tollgate key`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::call::{Control, line, promised};
use super::rotate::Rotate;
use super::{ConfigFile, check, say};
use crate::api::describe_key;
use crate::config::Environment;
use crate::domain::entropy::SystemEntropy;
use crate::domain::opaque::SessionKey;
use crate::domain::secret::SecretHash;

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Make a random 256-bit API key and print it once, with its hash for the configuration.
    ///
    /// The key goes to the program that calls the API, `secret_sha256` into an `[[api_key]]`.
    New,
    /// Give an API key a new secret, or sites a new signing key, without an outage.
    ///
    /// For an API key: the new secret is printed once, with the lines for the configuration, in which the old
    /// one stays valid for a while. With --write they are written into it, and a running gateway notices that the
    /// file has changed. Then give the new secret to the program that calls the API; `key list --used` shows when
    /// the old one was last used.
    ///
    /// With --signing: the running gateway makes a new key and publishes it. It signs with it a day later, when
    /// every application can know it, and publishes the old one for two hours more.
    Rotate(Box<Rotate>),
    /// List the secrets of all API keys, one per line, without showing them.
    ///
    /// Separated by tabs: name, kind, the beginning of the SHA-256 or the consumer key, whether it is a previous
    /// one, its end, scopes, permission and sites of the key; with --used also when it was last used.
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    file: ConfigFile,
    /// Ask the running gateway instead of the file, and show when each secret was last used.
    #[arg(long, conflicts_with = "config")]
    used: bool,
    #[command(flatten)]
    control: Control,
}

impl Key {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        match self {
            Self::New => {
                let key = SessionKey::mint(&SystemEntropy).expose();
                let hash = SecretHash::of(key.as_bytes()).to_hex();
                say(format_args!("key            {key}\nsecret_sha256  {hash}"))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Rotate(rotate) => rotate.run(environment),
            Self::List(list) => list.run(environment),
        }
    }
}

impl List {
    fn run(&self, environment: &Environment) -> anyhow::Result<ExitCode> {
        if self.used {
            let answer = self.control.client(environment)?.call(Method::GET, "/v1/keys", None)?;
            let keys = promised(&answer, "keys", Value::is_array)?.as_array();
            return keys.into_iter().flatten().try_for_each(|key| self.show(key)).map(|()| ExitCode::SUCCESS);
        }
        match check::read(&self.file.config, environment)? {
            Ok(settings) => {
                settings.api_keys.iter().try_for_each(|key| self.show(&describe_key(key, &[])))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(faults) => {
                check::print(&faults);
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn show(&self, key: &Value) -> anyhow::Result<()> {
        for secret in promised(key, "secrets", Value::is_array)?.as_array().into_iter().flatten() {
            let name = line(key, &["name"]);
            let hint = if secret.get("kind").is_some_and(|kind| kind == "oauth1") {
                "consumer_key"
            } else {
                "sha256_begins"
            };
            let own = line(secret, &["kind", hint]);
            let is_previous = secret.get("is_previous").and_then(Value::as_bool).unwrap_or_default();
            let which = if is_previous { "previous" } else { "current" };
            let (end, rights) =
                (line(secret, &["expires_at"]), line(key, &["scopes", "permission", "sites"]));
            let used =
                if self.used { format!("\t{}", line(secret, &["last_used_at"])) } else { String::new() };
            say(format_args!("{name}\t{own}\t{which}\t{end}\t{rights}{used}"))?;
        }
        Ok(())
    }
}
