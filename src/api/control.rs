//! What only the control listener has: health, what there is to know of the API, and the way to a site
//! for browsers that were sent here with a token.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use serde_json::json;

use super::Api;
use crate::domain::opaque::LoginToken;
use crate::http::client::Client;
use crate::http::{Request, Response, reply};

impl Api {
    /// Answers what is no API call; `None` if it is one.
    pub(super) async fn control_page(&self, request: &Request, client: &Client) -> Option<Response> {
        if let Some(response) = self.reference.answer(request) {
            return Some(response);
        }
        let path = request.uri().path();
        let parameter = match path {
            "/healthz" => return Some(plain(request, StatusCode::OK, "alive")),
            "/readyz" => return Some(self.readiness(request).await),
            "/metrics" => return Some(self.metrics(request)),
            "/api/session/redeem-token" => "session_token",
            "/api/user/redeem-login-token" => "login_token",
            _ => return None,
        };
        Some(self.show_the_way(request, parameter, client).await)
    }

    async fn readiness(&self, request: &Request) -> Response {
        if self.is_draining.load(Ordering::Relaxed) {
            plain(request, StatusCode::SERVICE_UNAVAILABLE, "draining")
        } else if self.sso.is_ready().await {
            plain(request, StatusCode::OK, "ready")
        } else {
            plain(request, StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
        }
    }

    /// A session cookie is worth nothing on the control listener's host: whoever brings a token
    /// here is sent to its site, where it is redeemed.
    async fn show_the_way(&self, request: &Request, parameter: &str, client: &Client) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return super::ApiError::method_not_allowed("GET, HEAD").into_response();
        }
        let query = request.uri().query().unwrap_or_default();
        let value = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let text = value(parameter).or_else(|| value("access_token")).unwrap_or_default();
        let Some(token) = LoginToken::parse(text.as_bytes()) else {
            return reply::text(StatusCode::FORBIDDEN, format!("The {parameter} is missing or malformed.\n"));
        };
        let Ok(site) = self.sso.site_of_token(&token).await else { return super::unavailable() };
        let home = site.as_ref().and_then(|site| self.homes.get(&site.name));
        let (Some(site), Some(home)) = (&site, home) else {
            if let Err(wait) = self.sso.note_guess(client.address) {
                let slow = reply::text(StatusCode::TOO_MANY_REQUESTS, "Too many tokens were wrong.\n");
                return reply::retry_after(slow, wait);
            }
            return reply::text(StatusCode::FORBIDDEN, format!("The {parameter} is not known here.\n"));
        };
        // The site's own step knows which kind of token it takes, if the site has it.
        let token = token.expose();
        let location = if site.apis.session {
            format!("{home}{}?{parameter}={token}", request.uri().path())
        } else {
            format!("{home}/.tollgate/redeem?token={token}")
        };
        reply::redirect(StatusCode::FOUND, &location)
    }
}

fn plain(request: &Request, status: StatusCode, word: &str) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return super::ApiError::method_not_allowed("GET, HEAD").into_response();
    }
    reply::json(status, &json!({ "status": word }))
}
