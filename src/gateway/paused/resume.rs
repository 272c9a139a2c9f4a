//! `/.tollgate/resume`: hands a paused request back to the browser that sent it, once, in a page that
//! sends it again.

use http::header::REFERRER_POLICY;
use http::{HeaderValue, StatusCode};

use super::super::Gateway;
use super::super::fault::Fault;
use super::super::visit::Visit;
use crate::domain::email::Email;
use crate::domain::path::RequestPath;
use crate::domain::paused::{Content, Manner, Paused, Post, Sender};
use crate::domain::return_to::ReturnTo;
use crate::domain::session::LiveSession;
use crate::domain::state::BrowserKey;
use crate::http::form::Form;
use crate::http::{Response, reply};
use crate::pages::{Page, PausedPage, What, base64};

impl Gateway {
    /// Answers with what waits for this visitor, or goes to the page on which it was to be sent: a
    /// second tab, a reload and the way back find nothing any more.
    pub(in super::super) async fn resume(&self, visit: &Visit<'_>) -> Result<Response, Fault> {
        let next = visit.return_to(&visit.parameter("return_url").unwrap_or_default());
        let found = self.resumed(visit, &next).await?;
        Ok(found.unwrap_or_else(|| reply::redirect(StatusCode::FOUND, next.as_str())))
    }

    async fn resumed(&self, visit: &Visit<'_>, next: &ReturnTo) -> Result<Option<Response>, Fault> {
        let site = &visit.front.site;
        let (Some(browser), Some(page)) = (visit.browser(), next.own_page(visit.origin)) else {
            return Ok(None);
        };
        let Some(live) = self.visitor(visit).await? else { return Ok(None) };
        // Only the redemption sends visitors here, and only with the session that it began.
        let ticket = visit.parameter("ticket").unwrap_or_default();
        let is_good = |was_asked_for| {
            browser.resume_ticket(&site.name, &page, &live.hash, was_asked_for).is(ticket.as_bytes())
        };
        let was_asked_for = is_good(true);
        if !was_asked_for && !is_good(false) {
            return Ok(None);
        }
        let Some(paused) = self.shared.sso.take_parked(browser, &site.name, &page, &visit.cause()).await?
        else {
            return Ok(None);
        };
        let by_itself = goes_by_itself(&paused.sender, was_asked_for, browser, &live);
        Ok(page_for(visit, &paused, by_itself, &live, next))
    }
}

/// Whether a request may be sent without the visitor's look at it. What one person wrote is not to go
/// out in another's name; and whoever was signed in by somebody else's link is not to send things to
/// that somebody.
fn goes_by_itself(sender: &Sender, was_asked_for: bool, browser: &BrowserKey, live: &LiveSession) -> bool {
    let session = &live.session;
    match sender {
        Sender::Person(tag) => {
            let own = browser.person_tag(&session.site, &session.identity);
            own.is_some_and(|own| own.is(tag.as_bytes()))
        }
        Sender::Stranger => was_asked_for,
        Sender::Unknown => false,
    }
}

fn page_for(
    visit: &Visit<'_>,
    paused: &Paused,
    by_itself: bool,
    live: &LiveSession,
    next: &ReturnTo,
) -> Option<Response> {
    let who = live.session.identity.email.as_ref().map(Email::as_str);
    let show = |what: What<'_>| {
        let page = Page::Paused(PausedPage { what, by_itself, who, next });
        let mut answer = reply::page(page.status(), page.render(None), page.content_security_policy());
        // With `no-referrer` the form would come from the origin `null`, which applications refuse that
        // look at it.
        answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
        answer
    };
    let Content::Whole(post) = &paused.content else { return Some(show(What::Lost)) };
    let action = own_url(visit, post)?;
    let form = match post.manner {
        Manner::Form => Form::of(&post.content_type, &post.body),
        Manner::Script => None,
    };
    let Some(form) = &form else {
        let body = base64(&post.body);
        return Some(show(What::Body { url: &action, content_type: &post.content_type, body: &body }));
    };
    Some(show(What::Form { form, action: &action }))
}

/// Where a request went, judged as it was then.
fn own_url(visit: &Visit<'_>, post: &Post) -> Option<ReturnTo> {
    let path = RequestPath::parse(&post.path, visit.front.site.allow_encoded_slash).ok()?;
    Some(ReturnTo::own(&path, post.query.as_deref(), visit.origin))
}
