//! The plain API: JSON over HTTP with a bearer key.

mod events;
mod keys;
mod sessions;
mod sso_tokens;
mod users;

pub(super) use events::Ears;
pub use keys::describe_key;
pub use sso_tokens::signed_order;

use std::sync::Arc;

use http::Method;

use super::error::ApiError;
use super::{Api, Via};
use crate::config::ApiKey;
use crate::domain::site::SiteName;
use crate::http::{Request, Response};

/// Entries of a page, unless the caller asks for fewer or more.
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 200;

/// Sessions may be made to last this long at most, in seconds: a year.
const MAX_SESSION_SECONDS: u64 = 365 * 24 * 60 * 60;

impl Api {
    /// Finds the endpoint.
    pub(super) async fn plain_api(&self, request: Request, via: &Via) -> Result<Response, ApiError> {
        let path = request.uri().path().to_owned();
        let method = match *request.method() {
            Method::HEAD => Method::GET,
            ref other => other.clone(),
        };
        if let Some(id) = path.strip_prefix("/v1/sessions/").filter(|id| !id.is_empty()) {
            return match method {
                Method::GET => self.show_session(&request, via, id).await,
                Method::PATCH => self.change_session(request, via, id).await,
                Method::DELETE => self.revoke_session(&request, via, id).await,
                _ => Err(ApiError::method_not_allowed("GET, HEAD, PATCH, DELETE")),
            };
        }
        if let Some(id) = path.strip_prefix("/v1/users/").filter(|id| !id.is_empty()) {
            return match method {
                Method::GET => self.show_user(&request, via, id).await,
                Method::PATCH => self.change_user(request, via, id).await,
                Method::DELETE => self.delete_user(&request, via, id).await,
                _ => Err(ApiError::method_not_allowed("GET, HEAD, PATCH, DELETE")),
            };
        }
        match (path.as_str(), method) {
            ("/v1/sso_tokens" | "/sso_tokens", Method::POST) => self.create_sso_token(request, via).await,
            ("/v1/sso_tokens" | "/sso_tokens", _) => Err(ApiError::method_not_allowed("POST")),
            ("/v1/sessions", Method::GET) => self.list_sessions(&request, via).await,
            ("/v1/sessions", Method::DELETE) => self.revoke_sessions(&request, via).await,
            ("/v1/sessions", _) => Err(ApiError::method_not_allowed("GET, HEAD, DELETE")),
            ("/v1/events", Method::GET) => self.events(&request, via),
            ("/v1/users", Method::GET) => self.list_users(&request, via).await,
            ("/v1/keys", Method::GET) => self.list_keys(&request, via),
            ("/v1/events" | "/v1/users" | "/v1/keys", _) => Err(ApiError::method_not_allowed("GET, HEAD")),
            ("/v1/signing_keys", Method::GET) => self.list_signing_keys(&request, via),
            ("/v1/signing_keys", Method::POST) => self.rotate_signing_keys(request, via).await,
            ("/v1/signing_keys", _) => Err(ApiError::method_not_allowed("GET, HEAD, POST")),
            _ => Err(ApiError::not_found("address")),
        }
    }
}

/// The parameters of a list.
struct ListQuery {
    email: Option<String>,
    site: Option<String>,
    cursor: Option<String>,
    limit: usize,
    /// The first one that is none of these.
    unknown: Option<String>,
}

impl ListQuery {
    fn of(request: &Request) -> Result<Self, ApiError> {
        let (mut email, mut site, mut cursor, mut limit, mut unknown) = (None, None, None, None, None);
        for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            let said = match &*name {
                "email" => &mut email,
                "site" => &mut site,
                "cursor" => &mut cursor,
                "limit" => &mut limit,
                _ => {
                    unknown.get_or_insert_with(|| name.into_owned());
                    continue;
                }
            };
            // Of two people one would be passed over, and the answer would not say so.
            if said.replace(value.into_owned()).is_some() {
                return Err(ApiError::parameter_invalid(&name, "it is given more than once"));
            }
        }
        let limit = limit.map_or(Ok(DEFAULT_PAGE), |limit| {
            let read = limit.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
            read.ok_or_else(|| ApiError::parameter_invalid("limit", format_args!("expected 1 to {MAX_PAGE}")))
        })?;
        Ok(Self {
            email: email.map(|email| email.trim().to_owned()),
            site,
            cursor: cursor.filter(|cursor| !cursor.is_empty()),
            limit,
            unknown,
        })
    }

    /// Where the page begins.
    fn after<C>(&self, parse: impl Fn(&str) -> Option<C>) -> Result<Option<C>, ApiError> {
        let invalid =
            || ApiError::parameter_invalid("cursor", "use the next_cursor of the previous page unchanged");
        self.cursor.as_deref().map(|cursor| parse(cursor).ok_or_else(invalid)).transpose()
    }

    /// The key of the person that the list is about.
    fn email_key(&self) -> Option<Arc<str>> {
        self.email.as_ref().map(|email| email.to_ascii_lowercase().into())
    }
}

impl Api {
    /// The sites that a list for the holder of `key` is about; `None` for all.
    fn listed_sites(&self, list: &ListQuery, key: &ApiKey) -> Result<Option<Vec<SiteName>>, ApiError> {
        let Some(named) = &list.site else { return Ok(key.sites.clone()) };
        let site = self.named_site(key, named).map_err(|fault| fault.into_error("site", named))?;
        Ok(Some(vec![site.name.clone()]))
    }
}
