//! `POST /v1/sso_tokens`: the one call that a login page has to make.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::error::ApiError;
use super::super::fields::Fields;
use super::super::{Api, Via};
use super::MAX_SESSION_SECONDS;
use crate::config::Scope;
use crate::domain::email::Email;
use crate::domain::identity::Particulars;
use crate::domain::return_to::ReturnTo;
use crate::domain::state::LoginState;
use crate::domain::user::PersonName;
use crate::http::{Request, Response, reply};
use crate::sso::{Member, TokenOrder};

/// Names of sites, and of persons with their login page.
const MAX_ID_CHARS: usize = 200;

/// A token that is good for longer than an hour is a password.
const MAX_TOKEN_SECONDS: u64 = 3600;

impl Api {
    pub(super) async fn create_sso_token(&self, request: Request, via: &Via) -> Result<Response, ApiError> {
        let (key, fields) = self.authorize_with_fields(request, via, Scope::WriteSso).await?;
        let member = member(&fields)?;
        let named = fields.text("site", MAX_ID_CHARS)?;
        let site = self.site_for(&key, named, via).map_err(|fault| {
            let here = via.site.as_ref().map_or("", |site| site.name.as_str());
            fault.into_error("site", named.unwrap_or(here))
        })?;
        let order = order(&fields)?;
        let return_url = order.return_url.clone();
        let issued = self.sso.issue_for_member(&site, member, order, &via.cause(&key)).await?;
        let token = issued.token.expose();
        let redeem_url = self.redeem_url(&site, via, return_url.as_deref(), &token);
        let document = json!({
            "token": token,
            "user_created": issued.user_created,
            "redeem_url": redeem_url,
            "expires_at": issued.expires_at.to_rfc3339(),
        });
        Ok(reply::json(StatusCode::CREATED, &document))
    }
}

/// Whom a token is for that a login page signed, and what that wants of it: the `claims` are the members
/// of the call's body, under the same names or under those that RFC 7519 and `OpenID` Connect have
/// for them. Else what is wrong with them.
pub fn signed_order(mut claims: Map<String, Value>) -> Result<(Member, TokenOrder), String> {
    for (registered, own) in [
        ("name", "full_name"),
        ("given_name", "first_name"),
        ("family_name", "last_name"),
        ("sub", "external_id"),
    ] {
        if let Some(value) = claims.remove(registered).filter(|_| !claims.contains_key(own)) {
            claims.insert(own.to_owned(), value);
        }
    }
    let fields = Fields::from(claims);
    let order = || Ok((member(&fields)?, order(&fields)?));
    order().map_err(|error: ApiError| error.to_string())
}

fn order(fields: &Fields) -> Result<TokenOrder, ApiError> {
    Ok(TokenOrder {
        return_url: return_url(fields)?,
        state: state(fields)?,
        expires_in: fields.seconds("expires_in", 1..=MAX_TOKEN_SECONDS)?,
        session_idle: fields.seconds("session_idle", 1..=MAX_SESSION_SECONDS)?,
        session_max: fields.seconds("session_max", 1..=MAX_SESSION_SECONDS)?,
    })
}

/// The browser to which the token is bound. An empty text is refused: a login page that lost the
/// state would otherwise make tokens that anybody can redeem, and nobody would notice.
/// Where the visitor goes afterwards: proven when it is used, when a longer one would be lost.
fn return_url(fields: &Fields) -> Result<Option<String>, ApiError> {
    let url = fields.text("return_url", ReturnTo::MAX_BYTES)?;
    if url.is_some_and(|url| url.len() > ReturnTo::MAX_BYTES) {
        let why = format_args!("it is longer than {} bytes", ReturnTo::MAX_BYTES);
        return Err(ApiError::parameter_invalid("return_url", why));
    }
    Ok(url.map(ToOwned::to_owned))
}

fn state(fields: &Fields) -> Result<Option<LoginState>, ApiError> {
    if fields.is_empty_text("state") {
        return Err(ApiError::parameter_invalid("state", format_args!("expected {}", LoginState::EXPECTED)));
    }
    fields.parsed("state", LoginState::EXPECTED, LoginState::parse)
}

fn member(fields: &Fields) -> Result<Member, ApiError> {
    fields.required_text("email", PersonName::MAX_CHARS * 2)?;
    let email = fields.parsed("email", Email::EXPECTED, Email::parse)?;
    let email = email.ok_or_else(|| ApiError::parameter_missing("email"))?;
    let [first, last, full] =
        ["first_name", "last_name", "full_name"].map(|field| fields.text(field, PersonName::MAX_CHARS));
    let name = match (first?, last?, full?) {
        (Some(first), Some(last), _) => PersonName::from_parts(first, last),
        (_, _, Some(full)) => PersonName::from_full(full),
        (None, ..) => return Err(ApiError::parameter_missing("first_name")),
        (_, None, _) => return Err(ApiError::parameter_missing("last_name")),
    };
    let details = Particulars {
        external_id: fields.text("external_id", MAX_ID_CHARS)?.map(ToOwned::to_owned),
        groups: fields.list("groups")?.unwrap_or_default(),
        plans: fields.list("plans")?.unwrap_or_default(),
        attributes: fields.map("attributes")?.unwrap_or_default(),
    };
    Ok(Member { email, name, details: details.into() })
}
