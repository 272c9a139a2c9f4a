//! Visitors who have a session, and not what a page asks besides.

use serde_json::{Map, Value, json};

use super::redeem::logout_path;
use super::visit::{Audience, Visit};
use crate::domain::access::{Condition, Requirement};
use crate::domain::email::Email;
use crate::domain::session::LiveSession;
use crate::domain::user::Role;
use crate::http::code::Code;
use crate::http::request_id::{RequestId, X_REQUEST_ID};
use crate::http::{Request, Response, reply};
use crate::pages::Page;

/// Why a request may not pass.
pub(super) struct Refusal<'a> {
    pub(super) visitor: Option<&'a LiveSession>,
    /// What was asked, of which one would do.
    pub(super) alternatives: &'a [&'a Requirement],
    /// Where it can be had, for programs to tell.
    pub(super) paywall_url: Option<&'a str>,
}

impl Refusal<'_> {
    /// The answer: a person can sign in as somebody else, a program reads what is missing.
    pub(super) fn into_response(self, request: &Request, visit: &Visit<'_>, name: &RequestId) -> Response {
        let session = self.visitor.map(|live| &live.session);
        let unmet =
            self.alternatives.iter().map(|one| one.unmet(session, visit.client.own_address()).collect());
        let unmet: Vec<Vec<Condition<'_>>> = unmet.collect();
        let mut response = match visit.audience(request.headers()) {
            Audience::Person => self.page(visit, &unmet, name),
            Audience::Program => {
                let missing: Vec<Value> = unmet.iter().map(|unmet| missing(unmet)).collect();
                let details = match self.paywall_url {
                    Some(paywall_url) => json!({ "missing": missing, "paywall_url": paywall_url }),
                    None => json!({ "missing": missing }),
                };
                let error = json!({
                    "code": Code::Forbidden,
                    "message": "The session does not meet the requirements: see details.missing; meeting one entry is enough.",
                    "details": details,
                });
                let response = reply::json(Code::Forbidden.status(), &json!({ "error": error }));
                visit.front.cors.readable(request.headers(), response)
            }
        };
        response.headers_mut().insert(X_REQUEST_ID, name.to_value());
        response
    }

    fn page(&self, visit: &Visit<'_>, unmet: &[Vec<Condition<'_>>], name: &RequestId) -> Response {
        let email = self.visitor.and_then(|live| live.session.identity.email.as_ref());
        let takes: Vec<String> = unmet.iter().map(|unmet| in_words(unmet)).collect();
        // Who comes from elsewhere comes from elsewhere as anybody.
        let helps = unmet.iter().any(|unmet| !unmet.iter().any(|one| matches!(one, Condition::Network(_))));
        let switch_url = logout_path(&visit.clean_url());
        let page = Page::Forbidden {
            who: email.map(Email::as_str),
            takes: &takes,
            switch_url: (helps && self.visitor.is_some()).then_some(switch_url.as_str()),
        };
        let html = page.render(Some(name.as_str()));
        reply::page(page.status(), html, page.content_security_policy())
    }
}

/// What is missing, under the names that the configuration has for it.
fn missing(unmet: &[Condition<'_>]) -> Value {
    let entry = |condition: &Condition<'_>| match condition {
        Condition::Backend => ("backend", json!(true)),
        Condition::Role(roles) => ("roles", roles.iter().map(Role::as_str).collect()),
        Condition::Group(groups) => ("groups", json!(groups)),
        Condition::Plan(plans) => ("plans", json!(plans)),
        Condition::EmailDomain(domains) => ("email_domains", json!(domains)),
        // Which networks these are is nobody's business outside of them.
        Condition::Network(_) => ("networks", json!(true)),
    };
    Value::Object(
        unmet.iter().map(entry).map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
    )
}

fn in_words(unmet: &[Condition<'_>]) -> String {
    let one_of = |what: &str, words: Vec<&str>| match words.as_slice() {
        [only] => format!("the {what} {only}"),
        several => format!("one of the {what}s {}", several.join(", ")),
    };
    let words = |condition: &Condition<'_>| match condition {
        Condition::Backend => "access to the back end".to_owned(),
        Condition::Role(roles) => one_of("role", roles.iter().map(Role::as_str).collect()),
        Condition::Group(groups) => one_of("group", groups.iter().map(String::as_str).collect()),
        Condition::Plan(plans) => one_of("plan", plans.iter().map(String::as_str).collect()),
        Condition::EmailDomain(domains) => {
            format!("an e-mail address at {}", domains.join(" or "))
        }
        Condition::Network(_) => "a connection from another network".to_owned(),
    };
    unmet.iter().map(words).collect::<Vec<_>>().join(" and ")
}
