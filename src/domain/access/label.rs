//! What an upstream asks of a visitor for the answer that it has just given: `X-Access-Required`.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use super::{Permit, Requirement};
use crate::domain::identity::{BACKEND, PLAN_PREFIX, REGISTERED};
use crate::domain::user::Role;

/// What an answer asks: one of these, of a visitor who has a session.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    words: String,
    alternatives: Vec<Requirement>,
}

impl Label {
    /// Reads the words of the field, separated by commas: `registered`, `backend`, a class such as
    /// `plan-gold`, or the name of a plan or a role. `None` if there is none, or one that cannot be
    /// read: then nobody knows for whom the answer is.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let words = std::str::from_utf8(value).ok()?.split(',').map(str::trim_ascii);
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        if words.is_empty() || words.iter().any(|word| word.contains(char::is_control)) {
            return None;
        }
        let all = words.iter().map(|word| alternatives(word)).collect::<Option<Vec<_>>>()?;
        Some(Self { words: words.join(","), alternatives: all.concat() })
    }

    /// Its words, separated by commas.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// What it asks, of which one would do.
    pub fn alternatives(&self) -> Vec<&Requirement> {
        self.alternatives.iter().collect()
    }

    /// Whether the answer is for the bearer of `permit`, who is at `address`.
    pub fn admits(&self, permit: &Permit, address: Option<IpAddr>) -> bool {
        let session = permit.visitor().map(|live| &live.session);
        session.is_some() && self.alternatives.iter().any(|one| one.holds(session, address))
    }
}

/// What one word asks. The words that have a meaning of their own name no plan and no role that
/// happens to be called so.
fn alternatives(word: &str) -> Option<Vec<Requirement>> {
    let plan = |plan: String| Requirement { plans: vec![plan], ..Requirement::default() };
    let role = |role: Role| Requirement { roles: vec![role], ..Requirement::default() };
    Some(match word {
        REGISTERED => vec![Requirement::default()],
        BACKEND => vec![Requirement { backend: true, ..Requirement::default() }],
        _ => match word.strip_prefix(PLAN_PREFIX) {
            Some(escaped) => vec![plan(percent_decode_str(escaped).decode_utf8().ok()?.into_owned())],
            None => std::iter::once(plan(word.to_owned())).chain(Role::parse(word).map(role)).collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> Option<Vec<String>> {
        let show = |one: &Requirement| {
            let roles = one.roles.iter().map(|role| format!("role {}", role.as_str()));
            let backend = one.backend.then(|| "backend".to_owned());
            let all: Vec<_> =
                one.plans.iter().map(|plan| format!("plan {plan}")).chain(roles).chain(backend).collect();
            if all.is_empty() { "session".to_owned() } else { all.join(" and ") }
        };
        Label::parse(value).map(|label| label.alternatives.iter().map(show).collect())
    }

    #[test]
    fn each_word_is_one_way_in() {
        for (value, ways) in [
            ("gold", &["plan gold", "role gold"][..]),
            ("gold, plus", &["plan gold", "role gold", "plan plus", "role plus"]),
            (" ,gold ,, ", &["plan gold", "role gold"]),
            ("registered", &["session"]),
            ("backend,plan-x", &["backend", "plan x"]),
            ("plan-gold%20plus", &["plan gold plus"]),
            // No role has a space in its name.
            ("gold plus", &["plan gold plus"]),
            ("Zoë", &["plan Zoë"]),
            ("plan-registered", &["plan registered"]),
            ("Registered", &["plan Registered", "role Registered"]),
            ("anonymous", &["plan anonymous", "role anonymous"]),
            ("*", &["plan *"]),
        ] {
            assert_eq!(read(value.as_bytes()).unwrap(), ways, "{value:?}");
        }
    }

    #[test]
    fn what_says_nothing_or_cannot_be_read_is_no_label() {
        for value in
            [&b""[..], b" ", b",", b" , ,", b"gold\tplus", b"gold, Zo\xeb", b"plan-%ff", b"gold,\x7f"]
        {
            assert_eq!(read(value), None, "{}", value.escape_ascii());
        }
    }
}
