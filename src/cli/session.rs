//! `tollgate session`.

use std::process::ExitCode;

use anyhow::bail;
use clap::{ArgGroup, Subcommand};
use http::Method;
use serde_json::Value;

use super::call::{Control, promised, query};
use super::{Usage, say};
use crate::config::Environment;

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// List live sessions, one per line.
    ///
    /// Separated by tabs: id, site, e-mail address, last use and end.
    List {
        /// Only sessions of this e-mail address.
        #[arg(long)]
        email: Option<String>,
        /// Only sessions on the site with this name.
        #[arg(long)]
        site: Option<String>,
        #[command(flatten)]
        control: Control,
    },
    /// End one session, or all sessions of one person.
    #[command(group(ArgGroup::new("whose").required(true).args(["id", "email"])))]
    Revoke {
        /// The session's id, as `session list` shows it.
        id: Option<String>,
        /// End all sessions of this e-mail address.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        control: Control,
    },
}

impl Session {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { email, site, control } => {
                let members = ["id", "site", "email", "last_seen_at", "ends_at"];
                let client = control.client(environment)?;
                client.print_list("sessions", email.as_deref(), site.as_deref(), &members)?;
            }
            Self::Revoke { id, email, control } => {
                let target = match (&id, &email) {
                    (Some(id), _) if id.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                        format!("/v1/sessions/{id}")
                    }
                    (Some(_), _) => bail!(Usage("that is not a valid session id")),
                    (None, email) => query("/v1/sessions", &[("email", email.as_deref())]),
                };
                let answer = control.client(environment)?.call(Method::DELETE, &target, None)?;
                let revoked = promised(&answer, "revoked", Value::is_u64)?;
                say(format_args!("{revoked} session(s) revoked"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
