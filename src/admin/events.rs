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
use crate::sso::PublishedEvent;

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
    /// Who brought it about, and from where.
    who: String,
    site: String,
    user: Option<String>,
    session: Option<String>,
    /// By which name it stands in the access log.
    request: Option<String>,
    /// Whatever else is said of it.
    more: Vec<(String, String)>,
}

/// What is shown in places of its own.
const PLACED: [&str; 8] = ["event", "at", "site", "user", "session", "actor", "client", "request_id"];

impl Visit<'_> {
    pub(super) fn events(&self, request: &Request) -> Answer {
        guard::only_looks(request)?;
        let (site, kind) = (self.query.text("site"), self.query.text("event"));
        let all = self.scene.sso.last_events();
        let mut kinds: Vec<&'static str> = all.iter().map(|event| event.event).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let is_meant = |event: &&std::sync::Arc<PublishedEvent>| {
            (site.is_empty() || event.site.as_ref().is_some_and(|own| own.as_str() == site))
                && (kind.is_empty() || event.event == kind)
        };
        let rows = all.iter().filter(is_meant).filter_map(|event| row(event)).collect();
        let sites = self.scene.sites().iter().map(|site| site.name.to_string()).collect();
        let (site, kind) = (site.to_owned(), kind.to_owned());
        shown(&Events { sheet: self.told_sheet("Events", "events"), rows, site, kind, sites, kinds })
    }
}

fn row(event: &PublishedEvent) -> Option<Event> {
    let fields: Map<String, Value> = serde_json::from_str(&event.json).ok()?;
    let said = |name: &str| fields.get(name).map(in_words);
    let (who, names_by) = who(said("actor").as_deref(), said("by"), said("client").as_deref());
    let is_told = |name: &str| PLACED.contains(&name) || (names_by && name == "by");
    let more = fields.iter().filter(|(name, _)| !is_told(name));
    let session = said("session").filter(|id| SessionId::parse(id).is_some());
    let user = said("user").filter(|id| UserId::parse(id).is_some());
    Some(Event {
        at: When::of_event(&said("at").unwrap_or_default()),
        name: event.event.replace('_', " "),
        is_refusal: matches!(
            event.event,
            "token_refused" | "signed_token_refused" | "session_refused" | "wrong_key"
        ),
        who,
        site: event.site.as_ref().map(ToString::to_string).unwrap_or_default(),
        user,
        session,
        request: said("request_id"),
        more: more.map(|(name, value)| (name.replace('_', " "), in_words(value))).collect(),
    })
}

/// Who it was in words, and whether these have whom `by` names.
fn who(actor: Option<&str>, by: Option<String>, client: Option<&str>) -> (String, bool) {
    let (who, names_by) = match (actor, by) {
        (Some("api_key"), Some(name)) => (format!("key {name}"), true),
        (Some("login_key"), Some(name)) => (format!("login key {name}"), true),
        (Some("gateway"), _) => ("the gateway".to_owned(), false),
        (Some("stranger"), _) => ("a stranger".to_owned(), false),
        _ => ("a visitor".to_owned(), false),
    };
    let from = client.map(|client| format!(" at {client}"));
    (format!("by {who}{}", from.unwrap_or_default()), names_by)
}

fn in_words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
