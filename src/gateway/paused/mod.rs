//! What a visitor was about to do when the login came in between: kept at the challenge, gone on with
//! after the redemption.
//!
//! A deep link is in `return_url`, with its query. A POST is kept by the server ([`park`]) and sent once
//! more by the visitor's own browser ([`resume`]), to live the ordinary life of a request. A fragment
//! never leaves the browser, and is kept there ([`fragment`]).

mod arrivals;
mod fragment;
mod park;
mod resume;

pub(super) use arrivals::Arrivals;
pub(super) use park::X_TOLLGATE_PARK;

use http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Gateway;
use super::visit::Visit;
use crate::domain::opaque::SessionKey;
use crate::domain::return_to::ReturnTo;
use crate::domain::state::BrowserKey;
use crate::http::cookies;
use crate::sso::Redeemed;

/// Where a visitor is sent who has just signed in, and what the browser is to keep.
pub(super) struct Onward {
    pub(super) target: ReturnTo,
    pub(super) cookies: Vec<HeaderValue>,
}

impl Gateway {
    /// Where a visitor goes who has just signed in and wants to be at `target`: to what was paused
    /// there, if there is something.
    pub(super) async fn onward(&self, visit: &Visit<'_>, redeemed: &Redeemed, target: &ReturnTo) -> Onward {
        let site = &visit.front.site;
        let mut onward = Onward { target: target.clone(), cookies: Vec::new() };
        if site.resume_posts {
            onward.cookies.extend(person_cookie(visit, redeemed));
        }
        let (Some(browser), Some(page)) = (visit.browser(), target.own_page(visit.origin)) else {
            return onward;
        };
        if site.keep_fragment
            && let Some(kept) = visit.presented.cookie(visit.cookie_names.fragment())
        {
            let tag = browser.fragment_tag(&site.name, &page);
            if let Some(fragment) = fragment::read(kept, &tag) {
                onward.target = onward.target.at_fragment(&fragment);
            }
            onward.cookies.push(cookies::forget_fragment(visit.cookie_names, visit.origin.scheme()));
        }
        // If nobody can tell whether there is something, the page itself is there.
        if site.resume_posts && self.shared.sso.has_parked(browser, &site.name, &page).await.unwrap_or(false)
        {
            onward.target = resumption(visit, browser, &redeemed.key, redeemed.was_asked_for, &page);
        }
        onward
    }
}

/// `Set-Cookie` that remembers who is signed in now, wherever the visitor goes next. Of whom nothing can be
/// remembered takes away what is said of somebody else.
fn person_cookie(visit: &Visit<'_>, redeemed: &Redeemed) -> Option<HeaderValue> {
    let (names, site, scheme) = (visit.cookie_names, &visit.front.site, visit.origin.scheme());
    let who = &redeemed.live.session.identity;
    match visit.browser().and_then(|browser| browser.person_tag(&site.name, who)) {
        Some(tag) => Some(cookies::set_person(names, &site.cookie, scheme, tag.expose())),
        None if visit.presented.has_cookie(names.person()) => {
            Some(cookies::forget_person(names, &site.cookie, scheme))
        }
        None => None,
    }
}

/// The address at which the visitor goes on. Nobody but this browser has the ticket for it, so that no
/// other site can bring a visitor there.
fn resumption(
    visit: &Visit<'_>,
    browser: &BrowserKey,
    session: &SessionKey,
    was_asked_for: bool,
    page: &str,
) -> ReturnTo {
    let ticket = browser.resume_ticket(&visit.front.site.name, page, &session.hash(), was_asked_for).expose();
    let page = utf8_percent_encode(page, NON_ALPHANUMERIC);
    visit.return_to(&format!("/.tollgate/resume?ticket={ticket}&return_url={page}"))
}
