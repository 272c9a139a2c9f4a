//! `/v1/sessions`: who is signed in, and ending that.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::{Api, Via};
use super::{ListQuery, MAX_SESSION_SECONDS};
use crate::config::{ApiKey, Scope};
use crate::domain::email::Email;
use crate::domain::session::{LiveSession, SessionId};
use crate::domain::user::{PersonName, Role};
use crate::http::{Request, Response, reply};
use crate::sso::SessionChange;
use crate::store::SessionFilter;

impl Api {
    pub(super) async fn list_sessions(&self, request: &Request, via: &Via) -> Result<Response, ApiError> {
        let key = self.authorize(request.headers(), via, Scope::ReadSessions)?;
        let list = ListQuery::of(request)?;
        let filter = SessionFilter { email_key: list.email_key(), sites: self.listed_sites(&list, &key)? };
        let page = self.sso.list_sessions(filter, list.after(SessionId::parse)?, list.limit).await?;
        let sessions: Vec<Value> = page.entries.iter().map(|live| shown(live)).collect();
        let next = page.next.map(|id| id.to_string());
        Ok(reply::json(StatusCode::OK, &json!({ "sessions": sessions, "next_cursor": next })))
    }

    pub(super) async fn show_session(
        &self,
        request: &Request,
        via: &Via,
        id: &str,
    ) -> Result<Response, ApiError> {
        let key = self.authorize(request.headers(), via, Scope::ReadSessions)?;
        let live = self.covered_session(&key, id).await?;
        Ok(reply::json(StatusCode::OK, &shown(&live)))
    }

    pub(super) async fn change_session(
        &self,
        request: Request,
        via: &Via,
        id: &str,
    ) -> Result<Response, ApiError> {
        // The body first: what is looked up before it could have changed when it is there.
        let (key, fields) = self.authorize_with_fields(request, via, Scope::WriteSessions).await?;
        fields.only(&["groups", "plans", "attributes", "idle", "max"])?;
        let live = self.covered_session(&key, id).await?;
        let change = SessionChange {
            groups: fields.list("groups")?,
            plans: fields.list("plans")?,
            attributes: fields.map("attributes")?,
            idle: fields.seconds("idle", 1..=MAX_SESSION_SECONDS)?,
            max: fields.seconds("max", 1..=MAX_SESSION_SECONDS)?,
        };
        let idle = change.idle.unwrap_or(live.session.idle.into());
        let max = change.max.unwrap_or(live.session.created_at().until(live.session.expires_at));
        if idle > max {
            return Err(ApiError::parameter_invalid("idle", "it is longer than max"));
        }
        let changed = self.sso.change_session(&live, change, &via.cause(&key)).await?;
        let changed = changed.ok_or_else(|| ApiError::not_found("session"))?;
        Ok(reply::json(StatusCode::OK, &shown(&changed)))
    }

    pub(super) async fn revoke_session(
        &self,
        request: &Request,
        via: &Via,
        id: &str,
    ) -> Result<Response, ApiError> {
        let key = self.authorize(request.headers(), via, Scope::WriteSessions)?;
        let live = self.covered_session(&key, id).await?;
        let revoked = self.sso.revoke_session(live.session.id, &via.cause(&key)).await?;
        Ok(reply::json(StatusCode::OK, &json!({ "revoked": u8::from(revoked) })))
    }

    /// Ends all sessions of one person. Without an address it would be everybody's: that has to be
    /// said in so many words, and there are none for it.
    pub(super) async fn revoke_sessions(&self, request: &Request, via: &Via) -> Result<Response, ApiError> {
        let key = self.authorize(request.headers(), via, Scope::WriteSessions)?;
        let list = ListQuery::of(request)?;
        // A mistyped `site` would have the person's sessions end everywhere.
        if let Some(unknown) = &list.unknown {
            return Err(ApiError::parameter_invalid(unknown, "expected email, site"));
        }
        let email = list.email.as_deref().filter(|email| !email.is_empty());
        let email = email.ok_or_else(|| ApiError::parameter_missing("email"))?;
        // Whoever mistypes an address must not be told that all is done.
        let invalid = || ApiError::parameter_invalid("email", format_args!("expected {}", Email::EXPECTED));
        let email = Email::parse(email).ok_or_else(invalid)?;
        let sites = self.listed_sites(&list, &key)?;
        let filter = SessionFilter { email_key: Some(email.key().into()), sites };
        let revoked = self.sso.revoke_sessions(filter, &via.cause(&key)).await?;
        Ok(reply::json(StatusCode::OK, &json!({ "revoked": revoked })))
    }

    /// The live session called `id`, if `key` covers its site: of others it does not even learn
    /// that they exist.
    async fn covered_session(&self, key: &ApiKey, id: &str) -> Result<Arc<LiveSession>, ApiError> {
        let not_found = || ApiError::not_found("session");
        let id = SessionId::parse(id).ok_or_else(not_found)?;
        let found = self.sso.find_session(id).await?;
        found.filter(|live| key.covers(&live.session.site)).ok_or_else(not_found)
    }
}

fn shown(live: &LiveSession) -> Value {
    let session = &live.session;
    let who = &session.identity;
    json!({
        "id": session.id.to_string(),
        "site": session.site.as_str(),
        "user_id": who.user.map(|id| id.to_string()),
        "external_id": who.details.external_id,
        "email": who.email.as_ref().map(Email::as_str),
        "full_name": who.name.as_ref().map(PersonName::full),
        "role": who.role.as_ref().map(Role::as_str),
        "backend": session.backend,
        "groups": who.details.groups,
        "plans": who.details.plans,
        "attributes": who.details.attributes,
        "idle": Duration::from(session.idle).as_secs(),
        "max": session.created_at().until(session.expires_at).as_secs(),
        "created_at": session.created_at().to_rfc3339(),
        "last_seen_at": live.last_seen().to_rfc3339(),
        "ends_at": live.ends_at().to_rfc3339(),
        "expires_at": session.expires_at.to_rfc3339(),
    })
}
