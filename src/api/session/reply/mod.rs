//! What the 23-compatible API answers, in XML and in JSON.
//!
//! All values are strings in both, as clients of the original expect.

#[cfg(test)]
mod tests;

use super::format::Format;
use super::parameters::Parameters;
use super::{script, xml};
use crate::config::PermissionLevel;
use crate::domain::opaque::LoginToken;
use crate::domain::user::UserId;

/// One answer.
///
/// There is no `Debug`: it may hold a token.
pub struct Reply {
    level: PermissionLevel,
    site: Option<SiteCard>,
    outcome: Outcome,
}

enum Outcome {
    Granted { object: &'static str, message: &'static str, fields: Vec<(&'static str, String)> },
    Echo(Vec<(String, String)>),
    Refused { code: ErrorCode, message: String },
}

/// What JSON answers tell of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteCard {
    /// Its host.
    pub domain: String,
    /// What it runs on.
    pub product_key: String,
    /// Its identifier.
    pub site_id: String,
    /// Its name.
    pub site_name: String,
}

/// The errors of the 23-compatible API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The signature or the key is wrong.
    InvalidSignature,
    /// The same, and that there is none, as version 2 calls it.
    MissingAuthentication,
    /// The key has ended.
    KeyExpired,
    /// The caller's level does not suffice.
    PermissionDenied,
    /// A parameter is wrong.
    InvalidInput,
    /// A token is missing.
    TokenRequired,
    /// There is no such user.
    NoSuchUser,
}

impl ErrorCode {
    /// The code as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSignature => "invalid_signature",
            Self::MissingAuthentication => "missing_authentication",
            Self::KeyExpired => "key_expired",
            Self::PermissionDenied => "permission_denied",
            Self::InvalidInput => "invalid_input",
            Self::TokenRequired => "token_required",
            Self::NoSuchUser => "no_such_user",
        }
    }
}

impl Reply {
    /// A token that opens a session.
    pub fn session_token(level: PermissionLevel, token: &LoginToken, return_url: &str) -> Self {
        Self::new(
            level,
            Outcome::Granted {
                object: "sessiontoken",
                message: "The session access token is ready to use",
                fields: vec![("access_token", token.expose()), ("return_url", return_url.to_owned())],
            },
        )
    }

    /// A token that logs a user in.
    pub fn login_token(level: PermissionLevel, token: &LoginToken, return_url: &str, user: UserId) -> Self {
        Self::new(
            level,
            Outcome::Granted {
                object: "logintoken",
                message: "The user login token is ready to use",
                fields: vec![
                    ("login_token", token.expose()),
                    ("return_url", return_url.to_owned()),
                    ("user_id", user.to_string()),
                ],
            },
        )
    }

    /// The request's own parameters.
    pub fn echo(level: PermissionLevel, parameters: &Parameters) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self::new(level, Outcome::Echo(parameters.iter().map(owned).collect()))
    }

    /// An error.
    pub fn refused(level: PermissionLevel, code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(level, Outcome::Refused { code, message: message.into() })
    }

    /// The error of a caller at `level` where `required` is needed.
    pub fn denied(level: PermissionLevel, required: PermissionLevel) -> Self {
        Self::refused(level, ErrorCode::PermissionDenied, denial(required))
    }

    fn new(level: PermissionLevel, outcome: Outcome) -> Self {
        Self { level, site: None, outcome }
    }

    /// Adds what is told of the site.
    #[must_use]
    pub fn about(mut self, site: SiteCard) -> Self {
        self.site = Some(site);
        self
    }

    /// Writes the answer of `endpoint`, which is the path of the request.
    pub fn render(&self, format: &Format, endpoint: &str) -> String {
        match format {
            Format::Xml => self.xml(),
            Format::Variable(name) => format!("var {} = {};", name.as_str(), self.json(endpoint)),
            Format::Callback(name) => format!("{}({});", name.as_str(), self.json(endpoint)),
            Format::Bare => self.json(endpoint),
        }
    }

    fn xml(&self) -> String {
        let mut text = String::from("<response");
        xml::push_attribute(&mut text, "status", self.status());
        xml::push_attribute(&mut text, "permission_level", self.level.as_str());
        match &self.outcome {
            Outcome::Granted { message, fields, .. } => {
                xml::push_attribute(&mut text, "message", message);
                let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
                finish_with_elements(&mut text, fields);
            }
            Outcome::Echo(parameters) => {
                let parameters = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                finish_with_elements(&mut text, parameters);
            }
            Outcome::Refused { code, message } => {
                xml::push_attribute(&mut text, "code", code.as_str());
                xml::push_attribute(&mut text, "message", message);
                text.push_str("/>");
            }
        }
        text
    }

    fn json(&self, endpoint: &str) -> String {
        let mut members: Vec<(&str, String)> = vec![("status", script::text(self.status()))];
        match &self.outcome {
            Outcome::Granted { object, message, fields } => {
                let fields = fields.iter().map(|(name, value)| (*name, script::text(value)));
                members.push(("message", script::text(message)));
                members.push(("permission_level", script::text(self.level.as_str())));
                members.push(("cached", script::text("0")));
                members.push((object, script::object(fields)));
                members.push(("p", script::text("1")));
                members.push(("size", script::text("1")));
                members.extend(self.site_member());
            }
            Outcome::Echo(parameters) => {
                members.push(("permission_level", script::text(self.level.as_str())));
                members.push(("cached", script::text("0")));
                for (name, value) in parameters {
                    // An object has each name once: of several values the first is the one that
                    // counts, and none may pass for the answer's own.
                    let taken = ECHO_MEMBERS.contains(&name.as_str())
                        || members.iter().any(|(other, _)| other == name);
                    if !taken {
                        members.push((name, script::text(value)));
                    }
                }
                members.extend(self.site_member());
            }
            Outcome::Refused { code, message } => {
                members.push(("message", script::text(message)));
                members.push(("code", script::text(code.as_str())));
                members.push(("permission_level", script::text(self.level.as_str())));
            }
        }
        members.push(("endpoint", script::text(endpoint)));
        script::object(members)
    }

    fn site_member(&self) -> Option<(&'static str, String)> {
        let site = self.site.as_ref()?;
        let members = [
            ("domain", script::text(&site.domain)),
            ("product_key", script::text(&site.product_key)),
            ("site_id", script::text(&site.site_id)),
            ("site_name", script::text(&site.site_name)),
        ];
        Some(("site", script::object(members)))
    }

    const fn status(&self) -> &'static str {
        match self.outcome {
            Outcome::Granted { .. } | Outcome::Echo(_) => "ok",
            Outcome::Refused { .. } => "error",
        }
    }
}

/// The members of an echo that are not parameters.
const ECHO_MEMBERS: [&str; 5] = ["status", "permission_level", "cached", "site", "endpoint"];

/// What a caller is told whose level does not suffice.
pub fn denial(required: PermissionLevel) -> String {
    let level = required.as_str();
    format!("You don't have the necessary permissions to perform this action (required level: '{level}')")
}

fn finish_with_elements<'a>(text: &mut String, elements: impl Iterator<Item = (&'a str, &'a str)>) {
    xml::push_attribute(text, "cached", "0");
    text.push('>');
    for (name, value) in elements {
        xml::push_element(text, name, value);
    }
    text.push_str("</response>");
}
