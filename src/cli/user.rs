//! `tollgate user`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::call::{Control, line, promised};
use super::say;
use crate::config::Environment;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// List users, one per line.
    ///
    /// Separated by tabs: id, e-mail address, name, account and roles.
    List {
        /// Only the user with this e-mail address.
        #[arg(long)]
        email: Option<String>,
        /// Only members of the site with this name.
        #[arg(long)]
        site: Option<String>,
        #[command(flatten)]
        control: Control,
    },
    /// Give a user a role on a site, effective from the next request.
    SetRole {
        /// The user's e-mail address.
        #[arg(long)]
        email: String,
        /// The name of the site.
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
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { email, site, control } => {
                let members = ["id", "email", "full_name", "account", "roles"];
                let client = control.client(environment)?;
                client.print_list("users", email.as_deref(), site.as_deref(), &members)?;
            }
            Self::SetRole { email, site, role, control } => {
                let client = control.client(environment)?;
                let found = client.list("users", Some(&email), None)?;
                let user = found.first().with_context(|| format!("there is no user {email}"))?;
                let id = promised(user, "id", Value::is_string)?.as_str().unwrap_or_default();
                let mut roles = serde_json::Map::new();
                roles.insert(site, json!(role));
                let changed = client.call(
                    Method::PATCH,
                    &format!("/v1/users/{id}"),
                    Some(&json!({ "roles": roles })),
                )?;
                promised(&changed, "roles", Value::is_object)?;
                say(format_args!("{}", line(&changed, &["id", "email", "roles"])))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
