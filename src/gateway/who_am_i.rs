//! `/.tollgate/session`: who is signed in, and until when.

use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::Gateway;
use super::fault::Fault;
use super::visit::Visit;
use crate::domain::email::Email;
use crate::domain::user::{PersonName, Role};
use crate::http::{Response, reply};

impl Gateway {
    /// Tells a script of the site about the session, without keeping it alive by asking.
    pub(super) async fn who_am_i(&self, headers: &HeaderMap, visit: &Visit<'_>) -> Result<Response, Fault> {
        let sso = &self.shared.sso;
        let found = match visit.session_key()? {
            Some(key) => sso.look_up(&visit.front.site, key, visit.now).await?,
            None => None,
        };
        let Some(live) = found else { return Ok(self.login_required(headers, visit)) };
        let session = &live.session;
        let who = &session.identity;
        let name = who.name.as_ref();
        let document = json!({
            "session": {
                "id": session.id.to_string(),
                "site": session.site.as_str(),
                "created_at": session.created_at().to_rfc3339(),
                "ends_at": live.ends_at().to_rfc3339(),
                "expires_at": session.expires_at.to_rfc3339(),
                "backend": session.backend,
            },
            "user": {
                "email": who.email.as_ref().map(Email::as_str),
                "external_id": who.details.external_id,
                "full_name": name.map(PersonName::full),
                "first_name": name.map(PersonName::first),
                "last_name": name.map(PersonName::last),
                "role": who.role.as_ref().map(Role::as_str),
                "groups": who.details.groups,
                "plans": who.details.plans,
            },
        });
        Ok(reply::json(StatusCode::OK, &document))
    }
}
