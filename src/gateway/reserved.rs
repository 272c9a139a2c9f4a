//! The gateway's own addresses on a site: whatever lies under `/.tollgate/`, and the browser's
//! steps of the 23-compatible API.

use std::mem::take;

use http::{Method, StatusCode};

use super::Gateway;
use super::cross_site::is_foreign_form;
use super::embedding::handover;
use super::fault::Fault;
use super::group::{GROUP_LOGOUT_PATH, GROUP_PATH, GroupCall};
use super::redeem::{LOGIN_PATH, LOGOUT_PATH, REDEEM_PATH, confirmation, refuse_prefetch};
use super::visit::{Visit, first_value};
use crate::domain::opaque::LoginToken;
use crate::domain::signed_login::BroughtToken;
use crate::domain::token::TokenKind;
use crate::http::body::read_up_to;
use crate::http::navigation::is_prefetch;
use crate::http::{Request, Response, reply};

/// The browser's steps of the 23-compatible API, for session tokens and for login tokens.
const REDEEMING: [&str; 2] = ["/api/session/redeem-token", "/api/user/redeem-login-token"];

/// More than a form with a token and a URL needs.
const MAX_FORM: usize = 32 * 1024;

/// An address that the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Group,
    GroupLogout,
    Login,
    Logout,
    Redeem,
    Resume,
    WhoAmI,
    KeySet,
    /// Where a tab hands a token to the frame that opened it.
    Handover,
    /// The browser's step of the 23-compatible API for this kind of token.
    RedeemCompatible(TokenKind),
    /// Under the prefix, but nothing there.
    Nowhere,
}

impl Endpoint {
    /// The endpoint that a visit is for; `None` if its path is the site's.
    pub(super) fn of(visit: &Visit<'_>) -> Option<Self> {
        let path = visit.path.as_str();
        let compatible = visit.front.site.apis.session;
        Some(match path {
            GROUP_PATH => Self::Group,
            GROUP_LOGOUT_PATH => Self::GroupLogout,
            LOGIN_PATH => Self::Login,
            LOGOUT_PATH => Self::Logout,
            REDEEM_PATH => Self::Redeem,
            "/.tollgate/resume" => Self::Resume,
            "/.tollgate/session" => Self::WhoAmI,
            "/.tollgate/jwks.json" => Self::KeySet,
            "/.tollgate/embed" if visit.front.ancestors.is_some() => Self::Handover,
            _ if compatible && path == REDEEMING[0] => Self::RedeemCompatible(TokenKind::Session),
            _ if compatible && path == REDEEMING[1] => Self::RedeemCompatible(TokenKind::Login),
            // However it is spelled: an upstream must not be able to stand in for the gateway, nor
            // get a token that was meant for it.
            _ if visit.path.is_reserved() => Self::Nowhere,
            _ if compatible && REDEEMING.iter().any(|own| visit.path.may_lie_under(own)) => Self::Nowhere,
            _ => return None,
        })
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Logout | Self::Redeem => "GET, HEAD, POST",
            Self::Group
            | Self::GroupLogout
            | Self::Login
            | Self::Resume
            | Self::WhoAmI
            | Self::KeySet
            | Self::Handover
            | Self::RedeemCompatible(_)
            | Self::Nowhere => "GET, HEAD",
        }
    }
}

impl Gateway {
    /// Answers at one of the gateway's own addresses.
    pub(super) async fn reserved(
        &self,
        endpoint: Endpoint,
        request: &mut Request,
        visit: &Visit<'_>,
    ) -> Result<Response, Fault> {
        let allowed = endpoint.methods();
        if !allowed.split(", ").any(|method| request.method().as_str() == method) {
            return Err(Fault::MethodNotAllowed(allowed));
        }
        if *request.method() == Method::POST {
            self.check_own_post(request.headers(), visit).await?;
        }
        match endpoint {
            Endpoint::Nowhere => Err(Fault::NotFound),
            Endpoint::Group => self.group_endpoint(request, visit, GroupCall::Question).await,
            Endpoint::GroupLogout => self.group_endpoint(request, visit, GroupCall::Logout).await,
            Endpoint::Login => {
                let return_to = visit.return_to(&visit.parameter("return_url").unwrap_or_default());
                if let Some(elsewhere) = self.ask_group_at_login(request, visit, &return_to).await {
                    return Ok(elsewhere);
                }
                Ok(self.to_login_page(StatusCode::FOUND, visit, &return_to, None))
            }
            Endpoint::Logout => self.logout(request, visit).await,
            Endpoint::Handover => Ok(deliberate(request, visit)?.unwrap_or_else(|| handover(visit))),
            Endpoint::WhoAmI => self.who_am_i(request.headers(), visit).await,
            Endpoint::KeySet => self.key_set(visit),
            Endpoint::Redeem => self.redeem_endpoint(request, visit).await,
            Endpoint::Resume => match deliberate(request, visit)? {
                Some(instead) => Ok(instead),
                None => self.resume(visit).await,
            },
            Endpoint::RedeemCompatible(kind) => self.redeem_compatible(request, visit, kind).await,
        }
    }

    /// `/.tollgate/redeem`: the token in the query of a GET or in the form of a POST, as `token` or
    /// under the site's own parameter name.
    async fn redeem_endpoint(&self, request: &mut Request, visit: &Visit<'_>) -> Result<Response, Fault> {
        let by_post = *request.method() == Method::POST;
        if !by_post && let Some(instead) = deliberate(request, visit)? {
            return Ok(instead);
        }
        if !visit.is_navigation(request.headers()) {
            return Err(Fault::NotANavigation);
        }
        let status = reply::see_other(request.method());
        // Another site's page does not press the button in the visitor's place.
        let is_pressed = by_post && !is_foreign_form(request.headers(), visit);
        let fields = if by_post {
            let form = read_up_to(take(request.body_mut()), MAX_FORM).await?;
            // Whoever holds back a form until a key of the login page has been taken away is not to be
            // judged as before. Anybody else's browser sends it again.
            if !self.shared.sso.is_in_force() {
                return Ok(reply::redirect(StatusCode::TEMPORARY_REDIRECT, REDEEM_PATH));
            }
            form
        } else {
            request.uri().query().unwrap_or_default().to_owned().into()
        };
        let field = |name: &str| first_value(&fields, name);
        let token = field("token").or_else(|| field(&visit.front.site.token_param));
        let named = field("return_url").filter(|named| !named.is_empty());
        let target = visit.return_to(named.as_deref().unwrap_or_default());
        let Some(token) = token.and_then(|token| BroughtToken::parse(&token)) else {
            return self.token_invalid(visit, &target, status).await;
        };
        if !is_pressed && visit.has_to_confirm() {
            let named = named.is_some().then_some(&target);
            return Ok(confirmation(visit, &token, named));
        }
        match self.redeem(visit, &token, None).await? {
            Ok(redeemed) => {
                let stored = named.or_else(|| redeemed.return_url.clone());
                let target = visit.return_to(stored.as_deref().unwrap_or_default());
                Ok(self.signed_in(visit, &redeemed, &target, status).await)
            }
            Err(_) => self.token_invalid(visit, &target, status).await,
        }
    }

    /// `/api/session/redeem-token` and `/api/user/redeem-login-token`: a redirect to the stored
    /// URL, or a plain word that it did not work.
    async fn redeem_compatible(
        &self,
        request: &Request,
        visit: &Visit<'_>,
        kind: TokenKind,
    ) -> Result<Response, Fault> {
        if let Some(instead) = deliberate(request, visit)? {
            return Ok(instead);
        }
        let name = match kind {
            TokenKind::Session => "session_token",
            TokenKind::Login => "login_token",
        };
        let text = visit.parameter(name).or_else(|| visit.parameter("access_token")).unwrap_or_default();
        let Some(token) = LoginToken::parse(text.as_bytes()) else {
            return Ok(reply::text(StatusCode::FORBIDDEN, format!("The {name} is missing or malformed.\n")));
        };
        let token = BroughtToken::Issued(token);
        if visit.has_to_confirm() {
            return Ok(confirmation(visit, &token, None));
        }
        match self.redeem(visit, &token, Some(kind)).await? {
            Ok(redeemed) => {
                let target = visit.return_to(redeemed.return_url.as_deref().unwrap_or_default());
                Ok(self.signed_in(visit, &redeemed, &target, StatusCode::FOUND).await)
            }
            Err(refusal) => {
                let text = format!("The {name} cannot be redeemed: {refusal}.\n");
                Ok(reply::text(StatusCode::FORBIDDEN, text))
            }
        }
    }
}

/// Whether a GET may change something: a person opened the page. If not, what to answer instead: a
/// HEAD or a look ahead changes nothing, and what a script fetches is refused.
pub(super) fn deliberate(request: &Request, visit: &Visit<'_>) -> Result<Option<Response>, Fault> {
    if is_prefetch(request.headers()) {
        return Ok(Some(refuse_prefetch()));
    }
    if *request.method() != Method::GET {
        return Ok(Some(reply::empty(StatusCode::NO_CONTENT)));
    }
    if visit.is_navigation(request.headers()) { Ok(None) } else { Err(Fault::NotANavigation) }
}
