//! `tollgate token`.

use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::call::Control;
use super::say;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Issue a login token and print it with the URL that redeems it.
    Issue {
        /// The site to open.
        #[arg(long)]
        site: String,
        /// Whom for.
        #[arg(long)]
        email: String,
        /// The person's first name.
        #[arg(long)]
        first_name: String,
        /// The person's last name.
        #[arg(long)]
        last_name: String,
        /// Where to go afterwards.
        #[arg(long)]
        return_url: Option<String>,
        #[command(flatten)]
        control: Control,
    },
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Issue { site, email, first_name, last_name, return_url, control } = self;
        let order = json!({
            "site": site, "email": email, "first_name": first_name, "last_name": last_name,
            "return_url": return_url,
        });
        let issued = control.call(Method::POST, "/v1/sso_tokens", Some(&order))?;
        say(format_args!("{issued:#}"));
        Ok(ExitCode::SUCCESS)
    }
}
