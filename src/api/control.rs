//! What only the control listener has: health, and the way to a site for browsers that were sent
//! here with a token.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::Api;
use crate::domain::opaque::LoginToken;
use crate::http::{Response, reply};

impl Api {
    /// Answers what is no API call; `None` if it is one.
    pub(super) async fn control_page(&self, request: &Request<Incoming>) -> Option<Response> {
        let parameter = match request.uri().path() {
            "/healthz" => return Some(plain(request, StatusCode::OK, "alive")),
            "/readyz" => return Some(self.readiness(request).await),
            "/api/session/redeem-token" => "session_token",
            "/api/user/redeem-login-token" => "login_token",
            _ => return None,
        };
        Some(self.show_the_way(request, parameter).await)
    }

    async fn readiness(&self, request: &Request<Incoming>) -> Response {
        if self.sso.is_ready().await {
            plain(request, StatusCode::OK, "ready")
        } else {
            plain(request, StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
        }
    }

    /// A session cookie is worth nothing on the control listener's host: whoever brings a token
    /// here is sent to its site, where it is redeemed.
    async fn show_the_way(&self, request: &Request<Incoming>, parameter: &str) -> Response {
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
        let home = match self.sso.site_of_token(&token).await {
            Ok(site) => site.and_then(|site| self.homes.get(&site.name)),
            Err(_) => return super::unavailable(),
        };
        match home {
            Some(home) => {
                let location = format!("{home}/.tollgate/redeem?token={}", token.expose());
                reply::redirect(StatusCode::FOUND, &location)
            }
            None => reply::text(StatusCode::FORBIDDEN, format!("The {parameter} is not known here.\n")),
        }
    }
}

fn plain(request: &Request<Incoming>, status: StatusCode, word: &str) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return super::ApiError::method_not_allowed("GET, HEAD").into_response();
    }
    reply::json(status, &json!({ "status": word }))
}
