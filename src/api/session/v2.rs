//! The answers of `/api/2/…`: plain JSON, beside which the status code is a real one.

use std::sync::Arc;

use http::header::{HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::endpoints::{Call, Refused};
use super::parameters::Parameters;
use super::reply::{ErrorCode, denial};
use super::script;
use crate::api::error::ApiError;
use crate::api::{Api, Via};
use crate::config::{ApiKey, PermissionLevel};
use crate::domain::opaque::LoginToken;
use crate::domain::return_to::ReturnTo;
use crate::domain::token::TokenKind;
use crate::http::code::Code;
use crate::http::cookies::{self, CookieNames};
use crate::http::{Request, Response, reply};
use crate::sso::{RedeemError, Redemption};

const GET_TOKEN: &str = "/api/2/session/get-token";
const REDEEM_TOKEN: &str = "/api/2/session/redeem-token";

/// The media type of these answers.
const CONTENT_TYPE: &str = "application/json";

/// Whether a call of version 2 is made at `path`.
pub(super) fn is_endpoint(path: &str) -> bool {
    [GET_TOKEN, REDEEM_TOKEN].contains(&path)
}

impl Api {
    /// Answers a call of version 2.
    pub(super) async fn session_api_v2(&self, request: Request, via: &Via) -> Response {
        let endpoint = request.uri().path().to_owned();
        let redeems = endpoint == REDEEM_TOKEN;
        let (methods, fits) = if redeems {
            ("POST", *request.method() == Method::POST)
        } else {
            ("GET, HEAD, POST", matches!(*request.method(), Method::GET | Method::HEAD | Method::POST))
        };
        if !fits {
            return ApiError::method_not_allowed(methods).into_response();
        }
        self.answer_v2(request, via, redeems).await.unwrap_or_else(refusal)
    }

    async fn answer_v2(&self, request: Request, via: &Via, redeems: bool) -> Result<Response, Refused> {
        let call = Call::of(request, true).await?;
        let caller = self.caller(&call, via).await?;
        if caller.is_anonymous() {
            return Ok(missing_authentication());
        }
        let key = caller.with_level(PermissionLevel::Super)?;
        let parameters = call.parameters()?;
        if redeems {
            self.redeem_v2(key, &parameters, via).await
        } else {
            self.token_v2(key, &parameters, via).await
        }
    }

    async fn token_v2(&self, key: &ApiKey, parameters: &Parameters, via: &Via) -> Result<Response, Refused> {
        let site = self.site_of_call(key, parameters, via)?;
        let (token, return_url) = self.order_session_token(key, &site, parameters, via).await?;
        let data = json!({ "access_token": token.expose(), "return_url": return_url });
        Ok(reply::with_body(StatusCode::OK, CONTENT_TYPE, ok(GET_TOKEN, &data)))
    }

    /// Redeems a token on behalf of a browser. The caller has to have a key, so that no page
    /// elsewhere can sign its visitors in as somebody else; it hands the cookie on.
    async fn redeem_v2(&self, key: &ApiKey, parameters: &Parameters, via: &Via) -> Result<Response, Refused> {
        let required = || Refused::Because(ErrorCode::TokenRequired, "session_token is missing.".to_owned());
        let text = parameters.first("session_token").ok_or_else(required)?;
        let unknown = || Refused::input("The session_token cannot be redeemed.");
        let token = LoginToken::parse(text.as_bytes()).ok_or_else(unknown)?;
        let site = self.sso.site_of_token(&token).await?.filter(|site| key.covers(&site.name));
        let site = site.ok_or_else(unknown)?;
        let attempt = Redemption {
            site: Arc::clone(&site),
            token,
            kind: Some(TokenKind::Session),
            browser: None,
            bound: false,
            current: None,
            cause: via.cause(key),
        };
        let redeemed = self.sso.redeem(attempt).await.map_err(|error| match error {
            RedeemError::Refused(refusal) => {
                Refused::input(format!("The session_token cannot be redeemed: {refusal}."))
            }
            RedeemError::TooManySessions => Refused::input(format!("There is no session: {error}.")),
            RedeemError::Unavailable(_) => Refused::Unavailable,
        })?;
        let home = self.home(&site, via).unwrap_or_else(|| via.origin.clone());
        let stored = redeemed.return_url.as_deref().unwrap_or_default();
        let target = ReturnTo::parse(stored, &home, &site.hosts);
        let data = json!({
            "return_url": target.as_str(),
            "session_id": redeemed.live.session.id.to_string(),
            "expires_at": redeemed.live.session.expires_at.to_rfc3339(),
        });
        let mut response = reply::with_body(StatusCode::OK, CONTENT_TYPE, ok(REDEEM_TOKEN, &data));
        let names = CookieNames::new(&site.cookie, home.scheme());
        let cookie = cookies::set_session(&names, &site.cookie, home.scheme(), &redeemed.key);
        response.headers_mut().append(SET_COOKIE, cookie);
        Ok(response)
    }
}

fn missing_authentication() -> Response {
    let message = "Send a valid API key as `Authorization: Bearer KEY`.";
    refused(StatusCode::UNAUTHORIZED, ErrorCode::MissingAuthentication.as_str(), message)
}

fn refusal(why: Refused) -> Response {
    match why {
        Refused::Because(ErrorCode::InvalidSignature, _) => missing_authentication(),
        Refused::Because(code @ ErrorCode::KeyExpired, message) => {
            refused(StatusCode::UNAUTHORIZED, code.as_str(), &message)
        }
        Refused::Because(code, message) => refused(StatusCode::BAD_REQUEST, code.as_str(), &message),
        Refused::Level(required) => {
            refused(StatusCode::FORBIDDEN, ErrorCode::PermissionDenied.as_str(), &denial(required))
        }
        Refused::SlowDown(wait) => {
            let message = "Too many wrong keys came from this address.";
            let code = Code::TooManyRequests;
            reply::retry_after(refused(code.status(), code.as_str(), message), wait)
        }
        Refused::Unavailable => crate::api::unavailable(),
    }
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let mut response = reply::with_body(status, CONTENT_TYPE, error(code, message));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The answer of `endpoint`.
fn ok(endpoint: &str, data: &Value) -> String {
    script::object([
        ("status", script::text("ok")),
        ("endpoint", script::text(endpoint)),
        ("data", script::value(data)),
    ])
}

/// An error. Code and message stand there twice: clients look in either place.
fn error(code: &str, message: &str) -> String {
    let (code, message) = (script::text(code), script::text(message));
    script::object([
        ("status", script::text("error")),
        ("code", code.clone()),
        ("message", message.clone()),
        ("error", script::object([("code", code), ("message", message)])),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_plain_json() {
        assert_eq!(
            ok("/api/2/session/get-token", &json!({ "access_token": "a", "n": 1 })),
            r#"{"status":"ok","endpoint":"/api/2/session/get-token","data":{"access_token":"a","n":1}}"#,
        );
        assert_eq!(
            error("missing_authentication", "a \"key\""),
            r#"{"status":"error","code":"missing_authentication","message":"a \"key\"","error":{"code":"missing_authentication","message":"a \"key\""}}"#,
        );
    }
}
