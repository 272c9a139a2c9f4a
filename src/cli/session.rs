//! `tollgate session`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use http::Method;

use super::call::{Control, line, member_of, query};
use super::say;

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// List live sessions: id, site, email, last use, end.
    List {
        /// Of this person only.
        #[arg(long)]
        email: Option<String>,
        /// On this site only.
        #[arg(long)]
        site: Option<String>,
        #[command(flatten)]
        control: Control,
    },
    /// End one session, or all of a person.
    Revoke {
        /// The session's id, as `session list` shows it.
        #[arg(required_unless_present = "email", conflicts_with = "email")]
        id: Option<String>,
        /// Whose sessions to end.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        control: Control,
    },
}

impl Session {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { email, site, control } => {
                for entry in control.list("/v1/sessions", "sessions", email.as_deref(), site.as_deref())? {
                    let members = ["id", "site", "email", "last_seen_at", "ends_at"];
                    say(format_args!("{}", line(&entry, &members)));
                }
            }
            Self::Revoke { id, email, control } => {
                let target = match (&id, &email) {
                    (Some(id), _) if id.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                        format!("/v1/sessions/{id}")
                    }
                    (Some(_), _) => bail!("that is no session's id"),
                    (None, email) => query("/v1/sessions", &[("email", email.as_deref())]),
                };
                let answer = control.call(Method::DELETE, &target, None)?;
                say(format_args!("{} session(s) revoked", member_of(&answer, "revoked")));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
