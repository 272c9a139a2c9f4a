//! `[site.identity.basic_auth]`: user name and password for an upstream that asks for them.

use super::document::{Read, Reported};
use super::identity;
use super::section::Section;
use super::text::Text;
use crate::domain::identity::{Credentials, HeaderRule, HeaderTemplate, TemplateFault};

/// Reads `basic_auth` of `[site.identity]`, if it is there.
pub(super) fn read(identity: &mut Section<'_>) -> Read<Option<HeaderRule>> {
    let is_there = identity.has("basic_auth");
    let mut section = identity.section("basic_auth")?;
    if !is_there {
        return Ok(None);
    }
    let user = section.required_text("user", "\"{email}\"").and_then(|text| {
        let place = text.place.clone();
        let user = template(text)?;
        if user.says(':') {
            return Err(place.fault("has a colon, with which a user name ends", "leave it out"));
        }
        Ok(user)
    });
    let password = section.required_text("password", "\"${APP_PASSWORD}\"").and_then(template);
    section.finish();
    let credentials = Credentials::new(user?, password?);
    let several = || {
        let problem = "{groups:*} and {plans:*} make several lines, and there is one";
        identity.place_of("basic_auth").fault(problem, "use fields that have one value")
    };
    credentials.map(HeaderRule::basic_auth).map(Some).ok_or_else(several)
}

/// A template, of which no fault shows anything: it may be a password. What comes out of one variable
/// or a file is none, whatever braces stand in it.
fn template(text: Text<'_>) -> Read<HeaderTemplate> {
    if text.is_in_file() {
        return identity::fixed(text);
    }
    let read = if text.is_one_variable() { HeaderTemplate::fixed } else { HeaderTemplate::parse };
    if text.as_str().is_empty() {
        return Err(text.place.fault("is empty", "write a name, a password, or a field such as {email}"));
    }
    read(text.as_str()).map_err(|fault| refuse(&text, &fault))
}

fn refuse(text: &Text<'_>, fault: &TemplateFault) -> Reported {
    let (problem, remedy) = match fault {
        TemplateFault::UnknownField(_) => {
            ("names something that is not a field", "fields are those of the headers, such as {email}")
        }
        TemplateFault::Unbalanced => (
            "has braces that do not pair up",
            "put text with braces of its own into one variable, \"${NAME}\"",
        ),
        TemplateFault::Control => ("has control characters", "leave them out"),
        TemplateFault::NotAlone => {
            ("has a list that makes a line for each value", "use fields that have one value")
        }
    };
    text.place.fault(problem, remedy)
}
