//! Keeping a POST that needs a session first.
//!
//! Only what the site's own pages sent is kept, and the browser has to say so: what another site's page
//! made a browser send would otherwise be done in the name of whoever signs in next.

use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName};
use http_body::Body as _;

use super::super::Gateway;
use super::super::visit::Visit;
use crate::domain::paused::{Content, MAX_BODY, Manner, Paused, Post, Sender};
use crate::domain::return_to::ReturnTo;
use crate::http::Request;
use crate::http::body::{Incoming, read_up_to};
use crate::http::form::{is_form, media_type};
use crate::http::initiator::is_own_page;
use crate::http::lines::only;

/// By this a script says that it wants its request to be kept, and will not send it again itself.
pub(in super::super) static X_TOLLGATE_PARK: HeaderName = HeaderName::from_static("x-tollgate-park");

/// The longest URL with which something is kept: it has to come back within another one.
const LONGEST_URL: usize = 2048;

/// The longest `Content-Type`.
const LONGEST_TYPE: usize = 256;

impl Gateway {
    /// Keeps a request that is about to be challenged, if it is one of those that are kept, until the
    /// visitor comes back to `page`. Its body is taken out then, kept or not: it is read here, and
    /// nowhere else before a decision.
    pub(in super::super) async fn park(&self, request: &mut Request, page: &ReturnTo, visit: &Visit<'_>) {
        let site = &visit.front.site;
        if !site.resume_posts || *request.method() != Method::POST {
            return;
        }
        let headers = request.headers();
        let Some(manner) = manner(headers, visit) else { return };
        if !is_own_page(headers, visit.origin) {
            return;
        }
        let Some(page) = page.own_page(visit.origin).filter(|page| page.len() <= LONGEST_URL) else { return };
        let slot = self.arrivals.begin(visit.client.address);
        let post = if slot.is_some() { post(request, manner, visit).await } else { None };
        let content = post.map_or(Content::Lost, Content::Whole);
        drop(slot);
        if content == Content::Lost && manner == Manner::Script {
            // A script is told by its answer.
            return;
        }
        let sso = &self.shared.sso;
        let browser = visit.browser_or_new(sso.entropy());
        let paused = Paused { content, sender: sender(visit) };
        let parked =
            sso.park(&browser, &site.name, &page, &paused, visit.client.address, &visit.cause()).await;
        visit.is_parked.set(parked.is_ok());
    }
}

/// How a request was made that may be kept.
fn manner(headers: &HeaderMap, visit: &Visit<'_>) -> Option<Manner> {
    if visit.is_navigation(headers) {
        return Some(Manner::Form);
    }
    let asks = only(headers, &X_TOLLGATE_PARK).is_ok_and(|value| value.is_some_and(|value| value == "1"));
    asks.then_some(Manner::Script)
}

/// Who may have sent what comes without a session.
fn sender(visit: &Visit<'_>) -> Sender {
    // It is as long as the tag is, or it is none.
    let tag = visit.presented.cookie(visit.cookie_names.person()).filter(|tag| tag.len() == 22);
    match tag.and_then(|tag| std::str::from_utf8(tag).ok()) {
        Some(tag) => Sender::Person(tag.to_owned()),
        None if visit.session_hashes().is_empty()
            && !visit.presented.has_cookie(visit.cookie_names.person()) =>
        {
            Sender::Stranger
        }
        None => Sender::Unknown,
    }
}

/// Reads the body of a request that can be sent once more.
async fn post(request: &mut Request, manner: Manner, visit: &Visit<'_>) -> Option<Post> {
    let body = std::mem::replace(request.body_mut(), Incoming::None);
    let headers = request.headers();
    // Who waits for a word before the body wants to hear the challenge first.
    if headers.contains_key(CONTENT_ENCODING) || headers.contains_key(EXPECT) {
        return None;
    }
    let content_type = only(headers, CONTENT_TYPE).ok()??.to_str().ok()?;
    let is_kind = is_form(content_type)
        || media_type(content_type.as_bytes()).eq_ignore_ascii_case(b"application/json");
    if !is_kind || content_type.len() > LONGEST_TYPE {
        return None;
    }
    let own = visit.front.site.max_body.and_then(|most| usize::try_from(most).ok());
    let most = own.map_or(MAX_BODY, |own| own.min(MAX_BODY));
    if body.size_hint().lower() > most as u64 {
        return None;
    }
    Some(Post {
        path: visit.path.as_str().to_owned(),
        query: visit.clean_query().map(str::to_owned),
        content_type: content_type.to_owned(),
        body: read_up_to(body, most).await.ok()?,
        manner,
    })
}
