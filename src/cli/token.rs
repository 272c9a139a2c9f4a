//! `tollgate token`.

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::call::{Control, promised};
use super::say;
use crate::config::Environment;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Issue a login token and print it with the URL that redeems it.
    Issue {
        /// The name of the site that the token opens.
        #[arg(long)]
        site: String,
        /// The e-mail address of the person it is for.
        #[arg(long)]
        email: String,
        /// The person's first name.
        #[arg(long)]
        first_name: String,
        /// The person's last name.
        #[arg(long)]
        last_name: String,
        /// Path or URL to open after sign-in (default: the site's front page).
        #[arg(long, value_name = "URL")]
        return_url: Option<String>,
        #[command(flatten)]
        control: Control,
    },
}

impl Token {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let Self::Issue { site, email, first_name, last_name, return_url, control } = self;
        let order = json!({
            "site": site, "email": email, "first_name": first_name, "last_name": last_name,
            "return_url": return_url,
        });
        let issued = control.client(environment)?.call(Method::POST, "/v1/sso_tokens", Some(&order))?;
        promised(&issued, "token", Value::is_string)?;
        say(format_args!("{issued:#}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
