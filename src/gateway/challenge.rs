//! Strangers at a closed path: people are sent to the login page, programs are told.

use http::StatusCode;
use http::header::{HeaderMap, REFERER, SET_COOKIE};
use serde_json::json;

use super::fault::Fault;
use super::redeem::login_path;
use super::visit::Visit;
use super::{Gateway, cors};
use crate::domain::query::without_token;
use crate::domain::return_to::ReturnTo;
use crate::domain::session::End;
use crate::domain::state::{BrowserKey, LoginState};
use crate::http::code::Code;
use crate::http::initiator::Named;
use crate::http::{Request, Response, cookies, reply};
use crate::pages::{Page, SignInFailure};

impl Gateway {
    /// Answers a request that needs a session first.
    pub(super) async fn challenge(
        &self,
        request: &mut Request,
        visit: &Visit<'_>,
    ) -> Result<Response, Fault> {
        self.park(request, &page_of(request.headers(), visit), visit).await;
        self.challenge_bare(request, visit).await
    }

    /// The same where there is no body to be kept.
    pub(super) async fn challenge_bare(
        &self,
        request: &Request,
        visit: &Visit<'_>,
    ) -> Result<Response, Fault> {
        let headers = request.headers();
        if cors::is_preflight(request.method(), headers) {
            return Ok(visit.front.cors.answer_preflight(headers));
        }
        if !visit.is_navigation(headers) {
            return Ok(self.login_required(headers, visit));
        }
        let fate = match visit.session_key()? {
            Some(key) => self.shared.sso.fate_of(key, visit.now).await?,
            None => None,
        };
        if fate == Some(End::Evicted) {
            return Ok(evicted(visit));
        }
        let target = visit.clean_url();
        let status = reply::see_other(request.method());
        let elsewhere = self.ask_group(request, visit, &target);
        let answer = elsewhere.unwrap_or_else(|| self.to_login_page(status, visit, &target, None));
        Ok(self.keeping_fragment(answer, request.method(), visit))
    }

    /// Sends a person to the login page, which is to send them back to `return_to`.
    pub(super) fn to_login_page(
        &self,
        status: StatusCode,
        visit: &Visit<'_>,
        return_to: &ReturnTo,
        error: Option<&str>,
    ) -> Response {
        if visit.framed {
            return self.login_from_frame(visit, return_to, error);
        }
        let browser = visit.browser_or_new(self.shared.sso.entropy());
        if error.is_some() {
            self.shared.sso.note_bounce(&browser, visit.client.address);
        }
        let state = browser.state_for(&visit.front.site.name);
        let location = login_url(visit, return_to, Some(&state), error);
        let mut response = reply::redirect(status, &location);
        introduce(visit, &browser, &mut response);
        response
    }

    /// Tells a program that it needs a session, and where a person could get one.
    pub(super) fn login_required(&self, headers: &HeaderMap, visit: &Visit<'_>) -> Response {
        let return_to = page_of(headers, visit);
        // The state belongs to this browser: a script of another origin has no business with it.
        let browser = is_own(headers, visit).then(|| visit.browser_or_new(self.shared.sso.entropy()));
        let state = browser.as_ref().map(|browser| browser.state_for(&visit.front.site.name));
        let mut details = json!({ "login_url": login_url(visit, &return_to, state.as_ref(), None) });
        if let (true, Some(details)) = (visit.is_parked.get(), details.as_object_mut()) {
            details.insert("resumes".to_owned(), true.into());
        }
        let error = json!({
            "code": Code::LoginRequired,
            "message": "This needs a session: open login_url in a browser to get one.",
            "details": details,
        });
        let mut response =
            reply::challenging(reply::json(Code::LoginRequired.status(), &json!({ "error": error })));
        if let Some(browser) = browser {
            introduce(visit, &browser, &mut response);
        }
        visit.front.cors.readable(headers, response)
    }
}

/// Tells a person, once, that a session here had to make room for one elsewhere. Not by way of the
/// login page: one that signs people in by itself would have two browsers end each other's sessions
/// in turn.
fn evicted(visit: &Visit<'_>) -> Response {
    let retry_url = login_path(&visit.clean_url());
    let page = Page::SignInFailed { reason: SignInFailure::Evicted, retry_url: &retry_url };
    let html = page.render(Some(visit.request_id.as_str()));
    let mut response = reply::page(page.status(), html, page.content_security_policy());
    let forget = cookies::forget_session(visit.cookie_names, &visit.front.site.cookie, visit.origin.scheme());
    response.headers_mut().append(SET_COOKIE, forget);
    response
}

/// Where a visitor is to come back to. A person wants to see what was asked for; a script, the page that
/// it runs on; a program that says of none, what it asked for.
pub(super) fn page_of(headers: &HeaderMap, visit: &Visit<'_>) -> ReturnTo {
    let page = headers.get(REFERER).and_then(|referer| referer.to_str().ok());
    match page.filter(|_| !visit.is_navigation(headers)) {
        // A token that stands in its address, as nothing has redeemed it, is nobody else's to know.
        Some(page) => visit.return_to(&without_token(page, &visit.front.site.token_param)),
        None => visit.clean_url(),
    }
}

/// Whether no page of another origin made this request.
pub(super) fn is_own(headers: &HeaderMap, visit: &Visit<'_>) -> bool {
    match Named::of(headers, visit.origin) {
        Named::Nothing | Named::Own => true,
        Named::Other(_) | Named::Several => false,
    }
}

/// Gives the visitor's browser its key, if it has none yet.
pub(super) fn introduce(visit: &Visit<'_>, browser: &BrowserKey, response: &mut Response) {
    if visit.browser().is_none() {
        let cookie = &visit.front.site.cookie;
        let cookie = cookies::set_browser(visit.cookie_names, cookie, visit.origin.scheme(), browser);
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

pub(super) fn login_url(
    visit: &Visit<'_>,
    return_to: &ReturnTo,
    state: Option<&LoginState>,
    error: Option<&str>,
) -> String {
    let site = &visit.front.site;
    let return_url = return_to.absolute(visit.origin);
    let parameters = [
        Some(("return_url", return_url.as_str())),
        Some(("site", site.name.as_str())),
        state.map(|state| ("state", state.as_str())),
        error.map(|error| ("error", error)),
    ];
    site.login_url.with(parameters.into_iter().flatten())
}
