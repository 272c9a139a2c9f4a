//! Why there is no certificate yet, said so that an operator knows what to do.

use std::io;

use instant_acme::{Error, Problem};

use super::schedule::Failure;
use crate::config::CertificateFault;

/// What an attempt failed of.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The authority does not answer, or not as one.
    #[error("the directory does not answer as it should: {0}")]
    Unreached(String),
    /// The authority refuses.
    #[error("the authority refuses: {text}")]
    Refused {
        /// What it says, and of which name.
        text: String,
        /// The type of problem (RFC 8555 §6.7), without what all of them begin with.
        kind: String,
    },
    /// The authority does not decide.
    #[error("the authority did not decide in time")]
    Undecided,
    /// It was waited for long enough.
    #[error("the authority did not send it within the time of an attempt")]
    Endless,
    /// It offers other challenges than the one that is to be answered.
    #[error("the authority does not offer this challenge for {0}")]
    NoChallenge(String),
    /// What it sent is not what it was asked for.
    #[error("the authority sent {0}")]
    Strange(&'static str),
    /// The certificate is none to serve with.
    #[error("the certificate that the authority sent {0}")]
    Useless(CertificateFault),
    /// Nothing could be made of what the system has.
    #[error("{0}")]
    Own(Box<dyn std::error::Error + Send + Sync>),
    /// Nothing could be kept.
    #[error("the folder of [acme] cannot be used: {0}")]
    Folder(#[from] io::Error),
}

/// What all types of problems begin with.
const PREFIX: &str = "urn:ietf:params:acme:error:";

const PATIENCE: &str = "it is tried again; if it goes on, ask the authority";

impl Trouble {
    /// What the authority says is wrong with `name`.
    pub(super) fn refused(name: Option<&str>, problem: &Problem) -> Self {
        let kind = problem.r#type.as_deref().unwrap_or_default();
        let kind = tidy(kind.strip_prefix(PREFIX).unwrap_or(kind));
        let parts = problem.subproblems.iter().map(ToString::to_string);
        let parts = problem.detail.clone().into_iter().chain(parts).collect::<Vec<_>>().join("; ");
        let about = name.map(|name| format!("{name}: ")).unwrap_or_default();
        Self::Refused { text: tidy(&format!("{about}{parts} ({kind})")), kind }
    }

    /// Whether the authority does not know the account (any more).
    pub(super) fn is_of_account(&self) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == "accountDoesNotExist")
    }

    /// What it says of the next attempt.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Unreached(_) | Self::Folder(_) | Self::Own(_) => Failure::Unreached,
            Self::Refused { kind, .. } if ["badNonce", "accountDoesNotExist"].contains(&kind.as_str()) => {
                Failure::Unreached
            }
            Self::Refused { .. }
            | Self::Undecided
            | Self::Endless
            | Self::NoChallenge(_)
            | Self::Strange(_)
            | Self::Useless(_) => Failure::Refused,
        }
    }

    /// What can be done about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Unreached(_) => {
                "see that this machine reaches [acme] directory; for a private authority name its root with \
                 root_ca"
            }
            Self::Folder(_) => "see that tollgate may write to [acme] state_dir and that there is room",
            Self::NoChallenge(_) => "write the other one as [acme] challenge",
            Self::Undecided | Self::Endless | Self::Strange(_) | Self::Useless(_) | Self::Own(_) => PATIENCE,
            Self::Refused { kind, .. } => match kind.as_str() {
                "connection" | "tls" | "incorrectResponse" | "unauthorized" => {
                    "see that the name leads to this gateway from the internet: on port 80 for http-01, on \
                     port 443 for tls-alpn-01"
                }
                "dns" => "see that the name is in the DNS, with the address of this gateway",
                "caa" => "let the CAA record of the name allow this authority",
                "rateLimited" => "wait; the authority counts certificates and failures for a name",
                "rejectedIdentifier" | "unsupportedIdentifier" => {
                    "leave the name out of acme, or ask another authority"
                }
                "externalAccountRequired" => "ask the authority for eab_key_id and eab_key",
                "userActionRequired" => "read the new terms of service, where the authority says so",
                "invalidContact" | "unsupportedContact" => "write another [acme] contact",
                "accountDoesNotExist" => "a new account is made",
                _ => PATIENCE,
            },
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::refused(None, &problem),
            Error::Timeout(_) => Self::Undecided,
            other => Self::Unreached(tidy(&other.to_string())),
        }
    }
}

/// What may stand in a log of a stranger's `text`.
pub(super) fn tidy(text: &str) -> String {
    const MAX_CHARS: usize = 400;
    text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_what_to_do() {
        let problem = |kind: &str| Problem {
            r#type: Some(format!("{PREFIX}{kind}")),
            detail: Some("no\nway".to_owned()),
            status: Some(403),
            subproblems: Vec::new(),
        };
        for (kind, failure, remedy) in [
            ("connection", Failure::Refused, "port 80"),
            ("rateLimited", Failure::Refused, "wait"),
            ("externalAccountRequired", Failure::Refused, "eab_key"),
            ("accountDoesNotExist", Failure::Unreached, "new account"),
            ("somethingNew", Failure::Refused, "ask the authority"),
        ] {
            let trouble = Trouble::refused(Some("site.test"), &problem(kind));
            let told = format!("the authority refuses: site.test: no way ({kind})");
            assert_eq!((trouble.to_string(), trouble.failure()), (told, failure));
            assert!(trouble.remedy().contains(remedy), "{}", trouble.remedy());
            assert_eq!(trouble.is_of_account(), kind == "accountDoesNotExist");
        }
    }
}
