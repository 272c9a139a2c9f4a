//! Visitors who come with a token.

use std::sync::Arc;
use std::time::Duration;

use http::header::{REFRESH, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode};

use super::Gateway;
use super::ancestors::unframeable;
use super::fault::Fault;
use super::visit::Visit;
use crate::config::SameSite;
use crate::domain::opaque::LoginToken;
use crate::domain::query::Extracted;
use crate::domain::return_to::ReturnTo;
use crate::domain::signed_login::BroughtToken;
use crate::domain::token::{Refusal, TokenKind};
use crate::http::navigation::is_prefetch;
use crate::http::{Request, Response, cookies, reply};
use crate::pages::{Page, SignInFailure};
use crate::sso::{RedeemError, Redeemed, Redemption};

impl Gateway {
    /// Redeems the token in the query of whatever page was asked for. `None` if this is not a person
    /// coming to a page: then the request goes on without the token.
    pub(super) async fn redeem_on_arrival(
        &self,
        extracted: &Extracted,
        request: &Request,
        visit: &Visit<'_>,
    ) -> Result<Option<Response>, Fault> {
        if *request.method() != Method::GET || !visit.is_navigation(request.headers()) {
            return Ok(None);
        }
        if is_prefetch(request.headers()) {
            return Ok(Some(refuse_prefetch()));
        }
        let target = visit.clean_url();
        let Some(token) = &extracted.token else {
            return self.token_invalid(visit, &target, StatusCode::FOUND).await.map(Some);
        };
        if visit.has_to_confirm() {
            return Ok(Some(confirmation(visit, token, Some(&target))));
        }
        let outcome = match self.redeem(visit, token, None).await {
            // Whoever has a session has no need to guess.
            Err(Fault::SlowDown(_)) if self.visitor(visit).await?.is_some() => Err(Refusal::Unknown),
            outcome => outcome?,
        };
        let answer = match outcome {
            Ok(redeemed) => self.signed_in(visit, &redeemed, &target, StatusCode::FOUND).await,
            Err(_) => self.token_invalid(visit, &target, StatusCode::FOUND).await?,
        };
        Ok(Some(answer))
    }

    /// Tries to redeem `token`. Addresses that present tokens which never were are held back.
    pub(super) async fn redeem(
        &self,
        visit: &Visit<'_>,
        token: &BroughtToken,
        kind: Option<TokenKind>,
    ) -> Result<Result<Redeemed, Refusal>, Fault> {
        let sso = &self.shared.sso;
        let attempt = |token: LoginToken| Redemption {
            site: Arc::clone(&visit.front.site),
            token,
            kind,
            browser: visit.browser().cloned(),
            current: visit.session_hash(),
            bound: visit.framed,
            cause: visit.cause(),
        };
        let redeemed = match token {
            BroughtToken::Issued(token) => sso.redeem(attempt(token.clone())).await,
            BroughtToken::Signed(signed) => match self.accept_signed(visit, signed).await? {
                Ok(stand_in) => sso.redeem(attempt(stand_in)).await,
                Err(refusal) => Err(refusal.into()),
            },
        };
        match redeemed {
            Ok(redeemed) => {
                visit.has_redeemed.set(true);
                Ok(Ok(redeemed))
            }
            Err(RedeemError::Refused(refusal)) => {
                // A good token is never held back: visitors share addresses.
                if refusal == Refusal::Unknown {
                    sso.note_guess(visit.client.address).map_err(Fault::SlowDown)?;
                }
                Ok(Err(refusal))
            }
            Err(RedeemError::TooManySessions) => Err(Fault::TooManySessions),
            Err(RedeemError::Unavailable(unavailable)) => Err(unavailable.into()),
        }
    }

    /// What happens to the bearer of a token that is not good: a visitor who has a session goes
    /// on, others go back to the login page; but not in circles.
    pub(super) async fn token_invalid(
        &self,
        visit: &Visit<'_>,
        target: &ReturnTo,
        status: StatusCode,
    ) -> Result<Response, Fault> {
        let sso = &self.shared.sso;
        if self.visitor(visit).await?.is_some() {
            return Ok(reply::redirect(status, target.as_str()));
        }
        if sso.is_bouncing(visit.browser(), visit.client.address) {
            let retry_url = login_path(target);
            let page = Page::SignInFailed { reason: SignInFailure::TooMany, retry_url: &retry_url };
            let html = page.render(Some(visit.request_id.as_str()));
            let answer = reply::page(page.status(), html, page.content_security_policy());
            return Ok(reply::retry_after(answer, Duration::from_mins(1)));
        }
        Ok(self.to_login_page(status, visit, target, Some("token_invalid")))
    }

    /// Hands out the session cookie and sends the visitor on.
    pub(super) async fn signed_in(
        &self,
        visit: &Visit<'_>,
        redeemed: &Redeemed,
        target: &ReturnTo,
        status: StatusCode,
    ) -> Response {
        let site = &visit.front.site;
        let onward = self.onward(visit, redeemed, target).await;
        let target = &onward.target;
        let mut response = match site.cookie.same_site {
            // A strict cookie is not sent along a chain of redirects that began on another site, and
            // the visitor would be sent to the login page again and again; a page of this site that
            // moves on by itself begins a new chain.
            SameSite::Strict if !visit.began_here => moving_on(target),
            SameSite::Lax | SameSite::Strict | SameSite::None => reply::redirect(status, target.as_str()),
        };
        let scheme = visit.origin.scheme();
        if site.cookie.same_site == SameSite::None {
            let forget = cookies::forget_unpartitioned_session(visit.cookie_names, scheme);
            response.headers_mut().append(SET_COOKIE, forget);
        }
        let cookie = cookies::set_session(visit.cookie_names, &site.cookie, scheme, &redeemed.key);
        response.headers_mut().append(SET_COOKIE, cookie);
        for cookie in onward.cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}

/// The page whose button redeems the token: scanners that open every link do not press buttons.
///
/// Without a `target` the visitor goes where the login page wanted.
pub(super) fn confirmation(visit: &Visit<'_>, token: &BroughtToken, target: Option<&ReturnTo>) -> Response {
    let site = &visit.front.site;
    let page = Page::ConfirmSignIn {
        action: REDEEM_PATH,
        token_field: "token",
        token,
        return_to: target,
        site: site.name.as_str(),
    };
    unframeable(reply::page(page.status(), page.render(None), page.content_security_policy()))
}

/// A look ahead at a URL with a token. A browser might keep a good answer, or a redirect, and use
/// it in place of the real thing: an error makes it throw the answer away.
pub(super) fn refuse_prefetch() -> Response {
    reply::empty(StatusCode::FORBIDDEN)
}

/// Where a login begins anew.
pub(super) const LOGIN_PATH: &str = "/.tollgate/login";

/// Where a session ends.
pub(super) const LOGOUT_PATH: &str = "/.tollgate/logout";

/// Where a token is redeemed, whatever page its visitor wants to see.
pub(super) const REDEEM_PATH: &str = "/.tollgate/redeem";

/// The path at which a login for `target` begins anew.
pub(super) fn login_path(target: &ReturnTo) -> String {
    target.as_parameter_of(LOGIN_PATH)
}

/// The path at which a session ends, to begin another one for `target`.
pub(super) fn logout_path(target: &ReturnTo) -> String {
    target.as_parameter_of(LOGOUT_PATH)
}

/// The path at which a token is redeemed, to go on to `target`.
pub(super) fn redeem_path(target: &ReturnTo) -> String {
    target.as_parameter_of(REDEEM_PATH)
}

fn moving_on(target: &ReturnTo) -> Response {
    let page = Page::SignedIn { target };
    let mut response = reply::page(page.status(), page.render(None), page.content_security_policy());
    if let Ok(refresh) = HeaderValue::from_str(&format!("0; url={target}")) {
        response.headers_mut().insert(REFRESH, refresh);
    }
    response
}
