//! The calls of the 23-compatible API: who asks, what is asked, and the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::body::Body as _;

use super::form;
use super::format::Format;
use super::oauth1::{self, SignatureFault};
use super::parameters::Parameters;
use super::reply::{ErrorCode, Reply, SiteCard};
use crate::api::error::ApiError;
use crate::api::keys::{Bearer, Holder};
use crate::api::object::Object;
use crate::api::{Api, SiteFault, Via};
use crate::config::{ApiKey, PermissionLevel, Site};
use crate::domain::email::Email;
use crate::domain::opaque::LoginToken;
use crate::domain::return_to::ReturnTo;
use crate::domain::state::LoginState;
use crate::domain::user::{Account, PersonName, User, UserId, turns_text};
use crate::http::body::read_up_to;
use crate::http::form::{is_urlencoded, media_type};
use crate::http::{Request, Response, reply};
use crate::sso::TokenOrder;
use crate::store::Unavailable;

const GET_TOKEN: &str = "/api/session/get-token";
const GET_LOGIN_TOKEN: &str = "/api/user/get-login-token";
const ECHO: &str = "/api/echo";

/// Whether a call of this API is made at `path`. The browser's steps are not calls.
pub fn is_endpoint(path: &str) -> bool {
    [GET_TOKEN, GET_LOGIN_TOKEN, ECHO].contains(&path) || super::v2::is_endpoint(path)
}

/// A request with its body read.
pub(super) struct Call {
    pub(super) head: Parts,
    /// The form, over which a signature goes.
    form: Option<Bytes>,
    /// The members of a JSON object, as a form: no signature covers them.
    json: Option<Bytes>,
}

impl Call {
    /// Reads the body. One that is not understood must not be passed over: what it says would be
    /// lost, and the call done without it.
    pub(super) async fn of(request: Request, takes_json: bool) -> Result<Self, Refused> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST || body.is_end_stream() {
            return Ok(Self { head, form: None, json: None });
        }
        let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let is_form = is_urlencoded(content_type);
        let is_json = takes_json && media_type(content_type).eq_ignore_ascii_case(b"application/json");
        if !is_form && !is_json {
            return Err(Refused::input("Send the parameters as application/x-www-form-urlencoded."));
        }
        let body = read_up_to(body, form::MAX_BYTES).await;
        let body = body.map_err(|fault| Refused::input(format!("The form cannot be read: {fault}.")))?;
        let (form, json) = if is_form { (Some(body), None) } else { (None, Some(json_as_form(&body)?)) };
        Ok(Self { head, form, json })
    }

    pub(super) fn parameters(&self) -> Result<Parameters, Refused> {
        let form = self.form.as_deref().or(self.json.as_deref());
        Parameters::read(&self.head.method, self.head.uri.query(), form)
            .map_err(|fault| Refused::input(fault.to_string()))
    }
}

fn json_as_form(body: &[u8]) -> Result<Bytes, Refused> {
    let refused = || Refused::input("Send a JSON object whose members are strings, each named once.");
    let Object(members) = serde_json::from_slice(body).map_err(|_| refused())?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &members {
        form.append_pair(name, value.as_str().ok_or_else(refused)?);
    }
    Ok(form.finish().into())
}

/// Why a call is refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// With a code and a sentence.
    Because(ErrorCode, String),
    /// The caller's level does not suffice.
    Level(PermissionLevel),
    /// Too many wrong keys came from the caller's address.
    SlowDown(std::time::Duration),
    /// The store does not answer.
    Unavailable,
}

impl Refused {
    pub(super) fn input(message: impl Into<String>) -> Self {
        Self::Because(ErrorCode::InvalidInput, message.into())
    }
}

impl From<Unavailable> for Refused {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Who calls.
pub(super) struct Caller {
    key: Option<Arc<ApiKey>>,
}

impl Caller {
    fn of(holder: Holder) -> Result<Self, Refused> {
        match holder {
            Holder::Good(key) => Ok(Self { key: Some(key) }),
            Holder::Ended(at) => {
                let message =
                    format!("The API key was good until {}: use what took its place.", at.to_rfc3339());
                Err(Refused::Because(ErrorCode::KeyExpired, message))
            }
        }
    }

    pub(super) fn level(&self) -> PermissionLevel {
        self.key.as_ref().map_or(PermissionLevel::None, |key| key.permission)
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.key.is_none()
    }

    /// The caller's key, if its level reaches `required`.
    pub(super) fn with_level(&self, required: PermissionLevel) -> Result<&ApiKey, Refused> {
        self.key.as_deref().filter(|key| key.permission >= required).ok_or(Refused::Level(required))
    }
}

impl Api {
    /// Answers a call.
    pub(in crate::api) async fn session_api(&self, request: Request, via: &Via) -> Response {
        let endpoint = request.uri().path().to_owned();
        if super::v2::is_endpoint(&endpoint) {
            return self.session_api_v2(request, via).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
            return ApiError::method_not_allowed("GET, HEAD, POST").into_response();
        }
        // Until the parameters are read, nobody knows in which format to answer.
        let read = async {
            let call = Call::of(request, false).await?;
            let parameters = call.parameters()?;
            Ok((call, parameters))
        };
        let (call, parameters) = match read.await {
            Ok(read) => read,
            Err(refused) => return refusal(refused, PermissionLevel::None, &Format::Xml, &endpoint),
        };
        let format = match Format::read(&parameters) {
            Ok(format) => format,
            Err(fault) => {
                let refused = Refused::input(fault.to_string());
                return refusal(refused, PermissionLevel::None, &fault.format(), &endpoint);
            }
        };
        let caller = match self.caller(&call, via).await {
            Ok(caller) => caller,
            Err(refused) => return refusal(refused, PermissionLevel::None, &format, &endpoint),
        };
        let answered = match endpoint.as_str() {
            GET_TOKEN => self.session_token(&caller, &parameters, via).await,
            GET_LOGIN_TOKEN => self.login_token(&caller, &parameters, via).await,
            _ => Ok(Reply::echo(caller.level(), &parameters)),
        };
        match answered {
            Ok(answer) => rendered(StatusCode::OK, &answer, &format, &endpoint),
            Err(refused) => refusal(refused, caller.level(), &format, &endpoint),
        }
    }

    /// Finds out who calls: by a bearer key, by a signature, or nobody in particular.
    pub(super) async fn caller(&self, call: &Call, via: &Via) -> Result<Caller, Refused> {
        let now = self.sso.now();
        let invalid = |message: String| Refused::Because(ErrorCode::InvalidSignature, message);
        let wrong = |message: String| {
            self.wrong_key(via.circumstances()).map_or_else(|| invalid(message), Refused::SlowDown)
        };
        if let Bearer::Key(presented) = Bearer::of(&call.head.headers) {
            let holder = self.holder(presented, || via.circumstances());
            return Caller::of(holder.ok_or_else(|| wrong("The API key is not valid.".to_owned()))?);
        }
        let authorization: Vec<&[u8]> =
            call.head.headers.get_all(AUTHORIZATION).into_iter().map(http::HeaderValue::as_bytes).collect();
        let request = oauth1::Request {
            method: &call.head.method,
            origin: &via.origin,
            path: call.head.uri.path(),
            query: call.head.uri.query(),
            authorization: &authorization,
            form: call.form.as_deref(),
        };
        // Only a wrong signature is a guess; the rest are mistakes that guess nothing.
        let refused = |fault: SignatureFault| {
            let message = format!("The API signature is invalid: {fault}.");
            if matches!(fault, SignatureFault::Mismatch { .. }) { wrong(message) } else { invalid(message) }
        };
        let Some(presented) = oauth1::read(&request).map_err(refused)? else {
            return Ok(Caller { key: None });
        };
        let (holder, nonce) = self.signer(&presented, via, now).map_err(refused)?;
        if !self.sso.remember_nonce(nonce.key, nonce.expires_at).await? {
            return Err(refused(SignatureFault::Replayed));
        }
        Caller::of(holder)
    }

    /// `/api/session/get-token`.
    async fn session_token(
        &self,
        caller: &Caller,
        parameters: &Parameters,
        via: &Via,
    ) -> Result<Reply, Refused> {
        let key = caller.with_level(PermissionLevel::Super)?;
        let site = self.site_of_call(key, parameters, via)?;
        let (token, return_url) = self.order_session_token(key, &site, parameters, via).await?;
        Ok(Reply::session_token(caller.level(), &token, &return_url).about(self.card(&site, via)))
    }

    /// Issues the token of a `get-token` call of either version, and says where it leads.
    pub(super) async fn order_session_token(
        &self,
        key: &ApiKey,
        site: &Arc<Site>,
        parameters: &Parameters,
        via: &Via,
    ) -> Result<(LoginToken, String), Refused> {
        let given = |name| parameters.first(name).map(str::trim).filter(|text| !text.is_empty());
        let email = given("email")
            .map(|text| Email::parse(text).ok_or_else(|| Refused::input("email is not a valid address")));
        let name = given("full_name").map(|text| {
            let is_odd = |c: char| c.is_control() || turns_text(c);
            let fine = text.chars().count() <= PersonName::MAX_CHARS && !text.contains(is_odd);
            fine.then(|| PersonName::from_full(text))
                .ok_or_else(|| Refused::input("full_name is not a valid name"))
        });
        let return_url = return_url(parameters)?;
        // An empty one was lost on the way: the token would be good in any browser.
        let state = parameters.first("state").map(|text| {
            LoginState::parse(text.trim())
                .ok_or_else(|| Refused::input(format!("state is not {}", LoginState::EXPECTED)))
        });
        let state = state.transpose()?;
        let order = TokenOrder { return_url: Some(return_url.clone()), state, ..TokenOrder::default() };
        let issued = self
            .sso
            .issue_for_visitor(site, email.transpose()?, name.transpose()?, order, &via.cause(key))
            .await?;
        Ok((issued.token, return_url))
    }

    /// `/api/user/get-login-token`.
    async fn login_token(
        &self,
        caller: &Caller,
        parameters: &Parameters,
        via: &Via,
    ) -> Result<Reply, Refused> {
        let key = caller.with_level(PermissionLevel::Super)?;
        let site = self.site_of_call(key, parameters, via)?;
        let user = self.user_of_call(parameters).await?;
        // A user of other sites only is none of this one's.
        let user = user.filter(|user| user.roles.contains_key(&site.name));
        let no_such = || Refused::Because(ErrorCode::NoSuchUser, "There is no such user.".to_owned());
        let user = user.ok_or_else(no_such)?;
        if user.account != Account::Full {
            return Err(Refused::input("The user does not have a full account."));
        }
        let return_url = return_url(parameters)?;
        let order = TokenOrder { return_url: Some(return_url.clone()), ..TokenOrder::default() };
        let issued = self.sso.issue_for_user(&site, &user, order, &via.cause(key)).await?;
        let answer = Reply::login_token(caller.level(), &issued.token, &return_url, user.id);
        Ok(answer.about(self.card(&site, via)))
    }

    async fn user_of_call(&self, parameters: &Parameters) -> Result<Option<User>, Refused> {
        if let Some(id) = parameters.first("user_id").filter(|id| !id.is_empty()) {
            let id = UserId::parse(id).ok_or_else(|| Refused::input("user_id is not a valid number"))?;
            return Ok(self.sso.find_user(id).await?);
        }
        let email = parameters.first("email").ok_or_else(|| Refused::input("user_id or email is needed"))?;
        let email = Email::parse(email).ok_or_else(|| Refused::input("email is not a valid address"))?;
        Ok(self.sso.find_user_by_email(email.key().into()).await?)
    }

    pub(super) fn site_of_call(
        &self,
        key: &ApiKey,
        parameters: &Parameters,
        via: &Via,
    ) -> Result<Arc<Site>, Refused> {
        self.site_for(key, parameters.first("site"), via).map_err(|fault| {
            Refused::input(match fault {
                SiteFault::Unknown => "There is no such site.",
                SiteFault::Elsewhere => "This host is another site's.",
                SiteFault::NotCovered => "The API key may not act for this site.",
                SiteFault::Ambiguous => "Say which site is meant: the API key covers several.",
            })
        })
    }

    fn card(&self, site: &Site, via: &Via) -> SiteCard {
        let number =
            self.sso.sites.all().iter().position(|own| own.name == site.name).unwrap_or_default() + 1;
        SiteCard {
            domain: self.home(site, via).map(|home| home.authority()).unwrap_or_default(),
            product_key: "tollgate".to_owned(),
            site_id: number.to_string(),
            site_name: site.name.as_str().to_owned(),
        }
    }
}

/// Where the visitor goes afterwards: kept as it was given, and proven when it is used.
fn return_url(parameters: &Parameters) -> Result<String, Refused> {
    let url = parameters.first("return_url").unwrap_or_default();
    if url.len() > ReturnTo::MAX_BYTES {
        return Err(Refused::input(format!("return_url is longer than {} bytes", ReturnTo::MAX_BYTES)));
    }
    Ok(if url.is_empty() { "/".to_owned() } else { url.to_owned() })
}

/// Errors come with status 200 like everything else, except for those that are not about the call.
fn refusal(refused: Refused, level: PermissionLevel, format: &Format, endpoint: &str) -> Response {
    match refused {
        Refused::Because(code, message) => {
            rendered(StatusCode::OK, &Reply::refused(level, code, message), format, endpoint)
        }
        Refused::Level(required) => {
            rendered(StatusCode::OK, &Reply::denied(level, required), format, endpoint)
        }
        Refused::SlowDown(wait) => {
            let message = "Too many wrong keys came from this address.";
            let answer = Reply::refused(level, ErrorCode::InvalidSignature, message);
            reply::retry_after(rendered(StatusCode::TOO_MANY_REQUESTS, &answer, format, endpoint), wait)
        }
        Refused::Unavailable => crate::api::unavailable(),
    }
}

fn rendered(status: StatusCode, answer: &Reply, format: &Format, endpoint: &str) -> Response {
    reply::with_body(status, format.content_type(), answer.render(format, endpoint))
}
