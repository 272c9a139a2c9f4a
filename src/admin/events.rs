//! What happened lately: the events of `/v1/events` and of the audit log, the latest first.

use askama::Template;
use serde_json::{Map, Value};

use super::Visit;
use super::answer::{Answer, shown};
use super::guard;
use super::sheet::Sheet;
use super::words::When;
use crate::domain::session::SessionId;
use crate::domain::user::UserId;
use crate::http::Request;
use crate::sso::Told;

#[derive(Template)]
#[template(path = "admin/events.html")]
struct Events {
    sheet: Sheet,
    rows: Vec<Event>,
    /// What is looked for.
    site: String,
    kind: String,
    sites: Vec<String>,
    kinds: Vec<&'static str>,
}

struct Event {
    at: When,
    name: String,
    /// Whether somebody was turned away.
    is_refusal: bool,
    site: String,
    user: Option<String>,
    session: Option<String>,
    /// Whatever else is said of it.
    more: Vec<(String, String)>,
}

/// What is shown in places of its own.
const PLACED: [&str; 5] = ["event", "at", "site", "user", "session"];

impl Visit<'_> {
    pub(super) fn events(&self, request: &Request) -> Answer {
        guard::only_looks(request)?;
        let (site, kind) = (self.query.text("site"), self.query.text("event"));
        let all = self.scene.sso.last_events();
        let mut kinds: Vec<&'static str> = all.iter().map(|told| told.event).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let is_meant = |told: &&std::sync::Arc<Told>| {
            (site.is_empty() || told.site.as_ref().is_some_and(|own| own.as_str() == site))
                && (kind.is_empty() || told.event == kind)
        };
        let rows = all.iter().filter(is_meant).filter_map(|told| event(told)).collect();
        let sites = self.scene.sites().iter().map(|site| site.name.to_string()).collect();
        let (site, kind) = (site.to_owned(), kind.to_owned());
        shown(&Events { sheet: self.told_sheet("Events", "events"), rows, site, kind, sites, kinds })
    }
}

fn event(told: &Told) -> Option<Event> {
    let fields: Map<String, Value> = serde_json::from_str(&told.json).ok()?;
    let said = |name: &str| fields.get(name).map(in_words);
    let more = fields.iter().filter(|(name, _)| !PLACED.contains(&name.as_str()));
    let session = said("session").filter(|id| SessionId::parse(id).is_some());
    let user = said("user").filter(|id| UserId::parse(id).is_some());
    Some(Event {
        at: When::of_event(&said("at").unwrap_or_default()),
        name: told.event.replace('_', " "),
        is_refusal: matches!(
            told.event,
            "token_refused" | "signed_token_refused" | "session_refused" | "wrong_key"
        ),
        site: told.site.as_ref().map(ToString::to_string).unwrap_or_default(),
        user,
        session,
        more: more.map(|(name, value)| (name.replace('_', " "), in_words(value))).collect(),
    })
}

fn in_words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
