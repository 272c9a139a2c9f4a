//! `tollgate user`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::call::{Control, line, member_of};
use super::say;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// List users: id, email, name, account, roles.
    List {
        /// The one with this address only.
        #[arg(long)]
        email: Option<String>,
        /// Members of this site only.
        #[arg(long)]
        site: Option<String>,
        #[command(flatten)]
        control: Control,
    },
    /// Give a user a role on a site, from the next request on.
    SetRole {
        /// The user's address.
        #[arg(long)]
        email: String,
        /// The site.
        #[arg(long)]
        site: String,
        /// The role, such as `editor` or `admin`.
        #[arg(long)]
        role: String,
        #[command(flatten)]
        control: Control,
    },
}

impl User {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { email, site, control } => {
                for entry in control.list("/v1/users", "users", email.as_deref(), site.as_deref())? {
                    let members = ["id", "email", "full_name", "account", "roles"];
                    say(format_args!("{}", line(&entry, &members)));
                }
            }
            Self::SetRole { email, site, role, control } => {
                let found = control.list("/v1/users", "users", Some(&email), None)?;
                let user = found.first().with_context(|| format!("there is no user {email}"))?;
                let id = member_of(user, "id").as_str().context("the user has no id")?;
                let mut roles = serde_json::Map::new();
                roles.insert(site, json!(role));
                let changed = control.call(
                    Method::PATCH,
                    &format!("/v1/users/{id}"),
                    Some(&json!({ "roles": roles })),
                )?;
                say(format_args!("{}", line(&changed, &["id", "email", "roles"])));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
