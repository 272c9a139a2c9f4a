//! `tollgate key`.

use std::process::ExitCode;

use clap::Subcommand;

use super::say;
use crate::domain::entropy::SystemEntropy;
use crate::domain::opaque::SessionKey;
use crate::domain::secret::SecretHash;

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Make a 256-bit API key and print it once, with its hash for the configuration.
    ///
    /// The key is for the program that calls the API, `secret_sha256` for an `[[api_key]]`.
    New,
}

impl Key {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::New = self;
        let key = SessionKey::mint(&SystemEntropy).expose();
        let hash = SecretHash::of(key.as_bytes()).to_hex();
        say(format_args!("key            {key}\nsecret_sha256  {hash}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
