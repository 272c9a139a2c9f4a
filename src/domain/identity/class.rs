//! What the upstream may know of a visitor's rights without knowing who it is: one word, so that a
//! cache between gateway and upstream can keep one answer for all who have the same.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Identity;

/// How the class of a plan begins.
pub const PLAN_PREFIX: &str = "plan-";

/// The class of whoever has no session.
pub const ANONYMOUS: &str = "anonymous";

/// The class of whoever has a session and nothing besides.
pub const REGISTERED: &str = "registered";

/// The class of whoever reaches the back end.
pub const BACKEND: &str = "backend";

/// What has to be escaped in a plan's name: it becomes part of a token (RFC 9110 §5.6.2), and may
/// become part of a file's name where a cache is keyed by it.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What kind of visitor somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessClass<'a> {
    /// Without a session.
    Anonymous,
    /// With a session that has no plan.
    Registered,
    /// With this plan, the first in the login page's order.
    Plan(&'a str),
    /// With a session that reaches the back end, whatever its plans.
    Backend,
}

impl<'a> AccessClass<'a> {
    /// The class of `who` with a session, and whether that reaches the back end.
    pub fn of(who: &'a Identity, backend: bool) -> Self {
        match who.details.plans.first() {
            _ if backend => Self::Backend,
            Some(plan) => Self::Plan(plan),
            None => Self::Registered,
        }
    }

    /// The one word for it. No two plans have the same.
    pub fn word(self) -> Cow<'static, str> {
        match self {
            Self::Anonymous => ANONYMOUS.into(),
            Self::Registered => REGISTERED.into(),
            Self::Plan(plan) => format!("{PLAN_PREFIX}{}", utf8_percent_encode(plan, ESCAPED)).into(),
            Self::Backend => BACKEND.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::Particulars;

    #[test]
    fn the_back_end_counts_for_more_than_plans_and_the_first_plan_for_more_than_others() {
        let who = |plans: &[&str]| {
            let plans = plans.iter().map(|plan| (*plan).to_owned()).collect();
            let details = Particulars { plans, ..Particulars::default() }.into();
            Identity { details, ..Identity::default() }
        };
        for (plans, backend, word) in [
            (&[][..], false, "registered"),
            (&["trial", "gold"], false, "plan-trial"),
            (&["gold"], true, "backend"),
            (&[], true, "backend"),
        ] {
            assert_eq!(AccessClass::of(&who(plans), backend).word(), word);
        }
    }

    #[test]
    fn a_class_is_a_token_and_no_two_plans_share_one() {
        for (class, word) in [
            (AccessClass::Anonymous, "anonymous"),
            (AccessClass::Registered, "registered"),
            (AccessClass::Backend, "backend"),
            (AccessClass::Plan("gold"), "plan-gold"),
            (AccessClass::Plan("Gold_2.0~a-b"), "plan-Gold_2.0~a-b"),
            (AccessClass::Plan("gold plus"), "plan-gold%20plus"),
            (AccessClass::Plan("gold%20plus"), "plan-gold%2520plus"),
            (AccessClass::Plan("Zoë/*"), "plan-Zo%C3%AB%2F%2A"),
            (AccessClass::Plan("a;b=\"c\""), "plan-a%3Bb%3D%22c%22"),
        ] {
            assert_eq!(class.word(), word);
        }
    }
}
