//! Sessions: who is signed in, all that is known of it, and ending that.

use std::sync::Arc;

use askama::Template;

use super::Visit;
use super::answer::{Answer, Trouble, go, shown};
use super::guard;
use super::query::Query;
use super::sheet::Sheet;
use super::words::When;
use crate::domain::email::Email;
use crate::domain::session::{LiveSession, SessionId};
use crate::domain::site::SiteName;
use crate::domain::user::{PersonName, Role, UserId};
use crate::http::{Request, Response};
use crate::store::{SessionFilter, Unavailable};

/// Entries of a page.
pub(super) const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "admin/sessions.html")]
struct Sessions {
    sheet: Sheet,
    sought: String,
    site: String,
    sites: Vec<String>,
    rows: Vec<Row>,
    /// Whose sessions these are, if they are one person's.
    email: Option<String>,
    end_all: String,
    /// Whether this is not the beginning.
    is_behind: bool,
    first: String,
    next: Option<String>,
    fault: Option<&'static str>,
}

struct Row {
    id: String,
    who: String,
    name: String,
    site: String,
    began: When,
    seen: When,
}

#[derive(Template)]
#[template(path = "admin/session.html")]
struct OneSession {
    sheet: Sheet,
    id: String,
    who: String,
    /// Where all sessions of the person are.
    others: Option<String>,
    user: Option<String>,
    facts: Vec<(&'static str, String)>,
    times: Vec<(&'static str, When)>,
    attributes: Vec<(String, String)>,
}

/// A page that asks once more.
#[derive(Template)]
#[template(path = "admin/confirm.html")]
pub(super) struct Confirm {
    pub(super) sheet: Sheet,
    pub(super) question: String,
    pub(super) consequences: Vec<String>,
    pub(super) action: String,
    /// What the form sends along.
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) button: &'static str,
    pub(super) back: String,
}

/// What was typed into the search.
enum Sought {
    Everything,
    Person(Email),
    Session(SessionId),
    Nobody(&'static str),
}

impl Visit<'_> {
    pub(super) async fn list_sessions(&self, request: &Request) -> Answer {
        guard::only_looks(request)?;
        let (text, site) = (self.query.text("q"), self.query.text("site"));
        let sites = self.scene.site(site).map(|site| vec![site.name.clone()]);
        let sought = self.sought(text).await?;
        let (email, fault) = match sought {
            Sought::Everything => (None, None),
            Sought::Person(email) => (Some(email), None),
            Sought::Session(id) => return Ok(go(&format!("/admin/sessions/{id}"))),
            Sought::Nobody(why) => (None, Some(why)),
        };
        let filter = SessionFilter { email_key: email.as_ref().map(|email| email.key().into()), sites };
        let after = SessionId::parse(self.query.text("after"));
        let (entries, next) = if fault.is_some() {
            (Vec::new(), None)
        } else {
            let page = self.scene.sso.list_sessions(filter, after, PAGE).await;
            let page = page?;
            (page.entries, page.next)
        };
        let link =
            |after: &str| Query::link("/admin/sessions", &[("q", text), ("site", site), ("after", after)]);
        let email = email.map(|email| email.as_str().to_owned()).filter(|_| !entries.is_empty());
        let end_all = [("email", email.as_deref().unwrap_or_default()), ("site", site)];
        shown(&Sessions {
            sheet: self.told_sheet("Sessions", "sessions"),
            sought: text.to_owned(),
            site: site.to_owned(),
            sites: self.site_names(),
            rows: entries.iter().map(|live| self.row(live)).collect(),
            end_all: Query::link("/admin/sessions/end", &end_all),
            email,
            is_behind: after.is_some(),
            first: link(""),
            next: next.map(|next| link(&next.to_string())),
            fault,
        })
    }

    /// The names of all sites.
    pub(super) fn site_names(&self) -> Vec<String> {
        self.scene.sites().iter().map(|site| site.name.to_string()).collect()
    }

    /// An address, the number of a user, or the name of a session.
    async fn sought(&self, text: &str) -> Result<Sought, Unavailable> {
        if text.is_empty() {
            return Ok(Sought::Everything);
        }
        if let Some(id) = SessionId::parse(text) {
            return Ok(Sought::Session(id));
        }
        if let Some(id) = UserId::parse(text) {
            let user = self.scene.sso.find_user(id).await?;
            let none = Sought::Nobody("There is no user with this number.");
            return Ok(user.map_or(none, |user| Sought::Person(user.email)));
        }
        let none = Sought::Nobody("This is not a valid e-mail address, user number or session id.");
        Ok(Email::parse(text).map_or(none, Sought::Person))
    }

    fn row(&self, live: &LiveSession) -> Row {
        let session = &live.session;
        Row {
            id: session.id.to_string(),
            who: who(live),
            name: session.identity.name.as_ref().map(|name| name.full().to_owned()).unwrap_or_default(),
            site: session.site.to_string(),
            began: When::near(session.created_at(), self.now),
            seen: When::near(live.last_seen(), self.now),
        }
    }

    async fn session(&self, id: &str) -> Result<Arc<LiveSession>, Trouble> {
        let gone = || Trouble::NotFound("session");
        let id = SessionId::parse(id).ok_or_else(gone)?;
        let found = self.scene.sso.find_session(id).await;
        found?.ok_or_else(gone)
    }

    pub(super) async fn show_session(&self, request: &Request, id: &str) -> Answer {
        guard::only_looks(request)?;
        let live = self.session(id).await?;
        let (session, identity) = (&live.session, &live.session.identity);
        let details = &identity.details;
        let facts = [
            ("Site", Some(session.site.to_string())),
            ("Name", identity.name.as_ref().map(|name: &PersonName| name.full().to_owned())),
            ("Role", identity.role.as_ref().map(|role: &Role| role.as_str().to_owned())),
            ("External id", details.external_id.clone()),
            ("Groups", Some(details.groups.join(", "))),
            ("Plans", Some(details.plans.join(", "))),
            ("Back end", Some(if session.backend { "yes" } else { "no" }.to_owned())),
        ];
        let told =
            |(name, value): (_, Option<String>)| Some((name, value.filter(|value| !value.is_empty())?));
        shown(&OneSession {
            sheet: self.told_sheet("Session", "sessions"),
            id: session.id.to_string(),
            who: who(&live),
            others: identity
                .email
                .as_ref()
                .map(|email| Query::link("/admin/sessions", &[("q", email.as_str())])),
            user: identity.user.map(|user| user.to_string()),
            facts: facts.into_iter().filter_map(told).collect(),
            times: vec![
                ("Began", When::near(session.created_at(), self.now)),
                ("Last used", When::near(live.last_seen(), self.now)),
                ("Ends if it is not used", When::near(live.ends_at(), self.now)),
                ("Ends in any case", When::near(session.expires_at, self.now)),
            ],
            attributes: details.attributes.clone().into_iter().collect(),
        })
    }

    /// Ends one session, having asked.
    pub(super) async fn end_session(&self, request: Request, id: &str) -> Answer {
        if guard::is_posted(&request)? {
            self.posted(request).await?;
            let live = self.session(id).await?;
            let ended = self.scene.sso.revoke_session(live.session.id, &self.cause).await;
            let was_there = ended?;
            let how = if was_there { "has ended" } else { "was over already" };
            return Ok(self.go_and_say("/admin/sessions", format!("The session of {} {how}.", who(&live))));
        }
        let live = self.session(id).await?;
        let action = format!("/admin/sessions/{id}/end");
        shown(&Confirm {
            sheet: self.sheet("End a session", "sessions"),
            question: format!("End the session of {} on {}?", who(&live), live.session.site),
            consequences: vec![
                "Whatever runs on the strength of it, such as a WebSocket or a download, is cut within a second."
                    .to_owned(),
                "The person may sign in again, if the login page lets them.".to_owned(),
            ],
            action,
            fields: Vec::new(),
            button: "End the session",
            back: format!("/admin/sessions/{id}"),
        })
    }

    /// Ends all sessions of one person, or those on one site, having asked.
    pub(super) async fn end_sessions(&self, request: Request) -> Answer {
        if guard::is_posted(&request)? {
            let posted = self.posted(request).await?;
            let (email, sites) = self.whose(posted.text("email"), posted.text("site"))?;
            return self.end_all(&email, sites).await;
        }
        let (email, site) = (self.query.text("email"), self.query.text("site"));
        let (email, sites) = self.whose(email, site)?;
        let filter = SessionFilter { email_key: Some(email.key().into()), sites: sites.clone() };
        let found = self.scene.sso.list_sessions(filter, None, PAGE).await;
        let found = found?;
        let many = match (found.entries.len(), found.next) {
            (_, Some(_)) => format!("There are more than {PAGE} sessions now."),
            (0, None) => "There is no session now.".to_owned(),
            (1, None) => "There is one session now.".to_owned(),
            (count, None) => format!("There are {count} sessions now."),
        };
        let on = sites.map_or_else(String::new, |_| format!(" on {site}"));
        shown(&Confirm {
            sheet: self.sheet("End sessions", "sessions"),
            question: format!("End all sessions of {}{on}?", email.as_str()),
            consequences: vec![
                many,
                "Tokens that were issued for the person and not redeemed yet are withdrawn.".to_owned(),
                "Whatever runs on the strength of these sessions is cut within a second.".to_owned(),
            ],
            action: "/admin/sessions/end".to_owned(),
            fields: vec![("email", email.as_str().to_owned()), ("site", site.to_owned())],
            button: "End all of them",
            back: Query::link("/admin/sessions", &[("q", email.as_str())]),
        })
    }

    /// Whose sessions are meant, and on which sites. A site that there is not is no word for all.
    fn whose(&self, email: &str, site: &str) -> Result<(Email, Option<Vec<SiteName>>), Trouble> {
        let invalid = |why: &str| Trouble::Invalid(why.to_owned());
        let email = Email::parse(email).ok_or_else(|| invalid("This is not a valid e-mail address."))?;
        if site.is_empty() {
            return Ok((email, None));
        }
        let site = self.scene.site(site).ok_or_else(|| invalid("There is no such site."))?;
        Ok((email, Some(vec![site.name.clone()])))
    }

    async fn end_all(&self, email: &Email, sites: Option<Vec<SiteName>>) -> Result<Response, Trouble> {
        let filter = SessionFilter { email_key: Some(email.key().into()), sites };
        let ended = self.scene.sso.revoke_sessions(filter, &self.cause).await?;
        let notice = match ended {
            0 => format!("{} had no session.", email.as_str()),
            1 => format!("The one session of {} has ended.", email.as_str()),
            ended => format!("{ended} sessions of {} have ended.", email.as_str()),
        };
        Ok(self.go_and_say("/admin/sessions", notice))
    }
}

fn who(live: &LiveSession) -> String {
    let identity = &live.session.identity;
    let email = identity.email.as_ref().map(|email| email.as_str().to_owned());
    email.unwrap_or_else(|| "an anonymous visitor".to_owned())
}
