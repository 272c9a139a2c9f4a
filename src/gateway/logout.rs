//! Ending a session at the visitor's own wish.

use http::header::SET_COOKIE;
use http::{Method, StatusCode};

use super::fault::Fault;
use super::redeem::login_path;
use super::visit::Visit;
use super::{Gateway, chromeless};
use crate::domain::return_to::ReturnTo;
use crate::http::initiator::is_foreign_subrequest;
use crate::http::navigation::is_prefetch;
use crate::http::{Request, Response, cookies, reply};
use crate::pages::Page;

impl Gateway {
    /// `/.tollgate/logout`: ends the session and goes to the site's `logout_url`, to `return_url`,
    /// or to a page that says so.
    pub(super) async fn logout(&self, request: &Request, visit: &Visit<'_>) -> Result<Response, Fault> {
        if *request.method() == Method::HEAD || is_prefetch(request.headers()) {
            return Ok(reply::empty(StatusCode::NO_CONTENT));
        }
        // An image on somebody else's page must not log people out.
        if is_foreign_subrequest(request.headers()) {
            return Err(Fault::CrossSite);
        }
        let site = &visit.front.site;
        // All that are presented, be it unclear which is the visitor's: after "signed out" none of
        // them may be left.
        self.leave(visit).await?;
        let named = visit.parameter("return_url").map(|input| visit.return_to(&input));
        let status = reply::see_other(request.method());
        if let Some(elsewhere) = self.log_out_of_group(request, visit, named.as_ref()) {
            return Ok(elsewhere);
        }
        // Pages elsewhere rarely let themselves be framed.
        let logout_url = site.logout_url.as_ref().filter(|_| !visit.framed);
        let mut response = match (logout_url, named) {
            (Some(url), None) => reply::redirect(status, url.as_str()),
            (Some(url), Some(target)) => {
                let return_url = target.absolute(visit.origin);
                let parameters = [("return_url", return_url.as_str()), ("site", site.name.as_str())];
                reply::redirect(status, &url.with(parameters))
            }
            (None, Some(target)) => reply::redirect(status, target.as_str()),
            (None, None) => {
                let login_url = login_path(&ReturnTo::home());
                let page =
                    Page::SignedOut { site: site.name.as_str(), home_url: "/", login_url: Some(&login_url) };
                reply::page(StatusCode::OK, page.render(None), page.content_security_policy())
            }
        };
        forget_visitor(visit, &mut response);
        Ok(response)
    }

    /// Ends what the browser has here: its sessions, and what this person was about to do, lest it be left
    /// to the next one.
    pub(super) async fn leave(&self, visit: &Visit<'_>) -> Result<(), Fault> {
        let (sso, site) = (&self.shared.sso, &visit.front.site);
        for hash in visit.session_hashes() {
            sso.log_out(site, hash, &visit.cause()).await?;
        }
        if site.resume_posts
            && let Some(browser) = visit.browser()
        {
            sso.forget_parked(browser, &site.name).await?;
        }
        Ok(())
    }
}

/// Has the browser forget who was here.
pub(super) fn forget_visitor(visit: &Visit<'_>, response: &mut Response) {
    let forget = cookies::forget_session(visit.cookie_names, &visit.front.site.cookie, visit.origin.scheme());
    response.headers_mut().append(SET_COOKIE, forget);
    if visit.presented.cookies.chromeless {
        response.headers_mut().append(SET_COOKIE, chromeless::cookie(visit, false));
    }
}
