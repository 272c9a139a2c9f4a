//! What pages of other sites may not do with a visitor's session.
//!
//! A cookie that is `SameSite=Lax` or `Strict` stays away from what other sites' pages send, and so does
//! the session. One that is `SameSite=None`, as in frames it has to be, comes along with everything, and
//! what the browser has given up is up to the gateway: nothing that changes anything is taken from another
//! site's page in a visitor's name.

use http::header::ORIGIN;
use http::{HeaderMap, Method};

use super::Gateway;
use super::cors::CorsOrigins;
use super::fault::Fault;
use super::upgrade::check_origin;
use super::visit::Visit;
use crate::config::{SameSite, Site};
use crate::domain::host::Origin;
use crate::http::Request;
use crate::http::initiator::{Named, began_here, is_part_of_another_site};
use crate::http::lines::only;

/// Methods that change nothing. There are others (RFC 5323, RFC 4918), which no page can send by itself.
const SAFE: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// Whether browsers send the site's session along with whatever other sites' pages ask for.
pub(super) fn is_exposed(site: &Site) -> bool {
    site.cookie.same_site == SameSite::None
}

/// Refuses a request that comes with a session and is another site's doing.
///
/// With an unsafe method the browser has to say that the site itself sent it, or the person
/// (`Sec-Fetch-Site`), or that the page stands at the site's own origin, or at one in `cors_origins`. Who
/// says neither is refused: browsers have said at least one of them since 2020. Pages that may frame the
/// site may still make nothing of it a part of their own: scripts and images that need a session are for
/// the site's own pages, as with other cookies.
pub(super) fn check(method: &Method, headers: &HeaderMap, visit: &Visit<'_>) -> Result<(), Fault> {
    let front = visit.front;
    if !is_exposed(&front.site) || began_here(headers) {
        return Ok(());
    }
    let may = if SAFE.contains(method) {
        front.ancestors.is_none() || !is_part_of_another_site(headers)
    } else {
        speaks_for_itself(headers, visit.origin, &front.cors) == Some(true)
    };
    if may { Ok(()) } else { Err(Fault::CrossSite) }
}

/// The same where a WebSocket may be asked for, whatever the site's cookies.
pub(super) fn check_any(request: &Request, opens_websocket: bool, visit: &Visit<'_>) -> Result<(), Fault> {
    if opens_websocket {
        check_origin(request.headers(), visit.origin, &visit.front.cors)
    } else {
        check(request.method(), request.headers(), visit)
    }
}

/// Whether the page that sent a request stands at the site's own origin, or at one that the operator trusts
/// with sessions; `None` if nothing is said of it.
pub(super) fn speaks_for_itself(headers: &HeaderMap, own: &Origin, trusted: &CorsOrigins) -> Option<bool> {
    match Named::of(headers, own) {
        Named::Nothing => None,
        Named::Own => Some(true),
        Named::Other(said) => Some(trusted.is_configured(said)),
        Named::Several => Some(false),
    }
}

impl Gateway {
    /// The same for what the gateway does itself at a POST: nobody is signed out, or signed in as somebody
    /// else, by another site's page. The login page may send its form to visitors who have a session.
    pub(super) async fn check_own_post(&self, headers: &HeaderMap, visit: &Visit<'_>) -> Result<(), Fault> {
        let site = &visit.front.site;
        // If it is not known who it is, it may be somebody.
        if !is_exposed(site) || matches!(self.visitor(visit).await, Ok(None)) {
            return Ok(());
        }
        if is_from_login_page(headers, site) { Ok(()) } else { check(&Method::POST, headers, visit) }
    }
}

fn is_from_login_page(headers: &HeaderMap, site: &Site) -> bool {
    only(headers, ORIGIN).is_ok_and(|said| said.is_some_and(|said| said == &site.login_url.origin()))
}

/// Whether another site's page made the browser send a form, and not the login page. Over plain http browsers
/// say nothing but `Origin`, in which any page can have them say `null`: that is another's too.
pub(super) fn is_foreign_form(headers: &HeaderMap, visit: &Visit<'_>) -> bool {
    let is_foreign = speaks_for_itself(headers, visit.origin, &visit.front.cors) == Some(false);
    !began_here(headers) && is_foreign && !is_from_login_page(headers, &visit.front.site)
}
