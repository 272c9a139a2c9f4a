//! `tollgate check --explain URL`: which rule decides on a request, and what comes of it.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use http::{Method, Uri};

use super::{Usage, say};
use crate::config::Settings;
use crate::domain::clock::{Clock as _, SystemClock};
use crate::domain::email::Email;
use crate::domain::entropy::SystemEntropy;
use crate::domain::user::Role;
use crate::gateway::{Question, Supposed};
use crate::sso::sites::Sites;

/// The request to explain, and who makes it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Explain")]
pub(super) struct Explain {
    /// Show which rule decides on a request for this URL, and why.
    #[arg(long = "explain", id = "explain", value_name = "URL")]
    url: Option<Uri>,
    /// The request's method.
    #[arg(long, value_name = "METHOD", default_value = "GET", requires = "explain")]
    method: Method,
    /// The e-mail address of a signed-in visitor (default: nobody is signed in).
    #[arg(long = "as", value_name = "EMAIL", requires = "explain")]
    email: Option<String>,
    /// The visitor's role on the site.
    #[arg(long, value_name = "ROLE", requires = "email")]
    role: Option<String>,
    /// The visitor's groups.
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',', requires = "email")]
    groups: Vec<String>,
    /// The visitor's plans.
    #[arg(long, value_name = "PLAN,…", value_delimiter = ',', requires = "email")]
    plans: Vec<String>,
    /// The visitor's session has access to the back end.
    #[arg(long, requires = "email")]
    backend: bool,
    /// The IP address that the request comes from.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", requires = "explain")]
    from: IpAddr,
}

impl Explain {
    /// Whether there is anything to explain.
    pub(super) fn is_wanted(&self) -> bool {
        self.url.is_some()
    }

    /// Explains, line by line. The exit status says that it could be explained, whatever the outcome.
    pub(super) fn run(&self, settings: Settings) -> anyhow::Result<ExitCode> {
        let Some(url) = &self.url else { return Ok(ExitCode::SUCCESS) };
        let question = Question {
            url: url.clone(),
            method: self.method.clone(),
            visitor: self.visitor()?,
            from: self.from,
        };
        let told = question.explain(&Sites::new(settings.sites), SystemClock.now(), &SystemEntropy);
        let told =
            told.ok_or(Usage("--explain takes a whole URL, such as https://intranet.example.com/a"))?;
        for (about, text) in told {
            say(format_args!("{about:<10}{text}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn visitor(&self) -> anyhow::Result<Option<Supposed>> {
        let Some(email) = &self.email else { return Ok(None) };
        let role = self.role.as_deref().map(|role| Role::parse(role).context("--role is not a valid role"));
        Ok(Some(Supposed {
            email: Email::parse(email).context("--as takes an e-mail address")?,
            role: role.transpose()?,
            groups: self.groups.clone(),
            plans: self.plans.clone(),
            backend: self.backend,
        }))
    }
}
