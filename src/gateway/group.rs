//! Sites that share a login (`sso_group`): before a stranger sees a login page, the other sites are
//! asked whether they know the browser.
//!
//! They are asked by way of the browser, since each knows it by a cookie of its own. The members of a
//! group stand in a circle: a stranger's site sends the browser to the next one, that one sends it back
//! with a token if it knows whose it is, and on if it does not; who would be the site itself again sends
//! it to the login page. So there is nothing to be remembered on the way, and no way to go round twice.
//!
//! Anybody can make such a URL up. The most that comes of it is a token for the browser with a state
//! that its author chose, which this browser cannot redeem, and which nobody else gets to see: it goes
//! to the site alone, as a page's address. So the URLs need no signature.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::Gateway;
use super::challenge::introduce;
use super::fault::Fault;
use super::logout::forget_visitor;
use super::redeem::{LOGOUT_PATH, login_path, redeem_path};
use super::reserved::deliberate;
use super::visit::Visit;
use crate::config::Site;
use crate::domain::host::Origin;
use crate::domain::opaque::LoginToken;
use crate::domain::return_to::ReturnTo;
use crate::domain::site::SiteName;
use crate::domain::state::LoginState;
use crate::http::navigation::{is_navigation, is_prefetch};
use crate::http::{Request, Response, reply};

/// Where a member of a group is asked about another's stranger.
pub(super) const GROUP_PATH: &str = "/.tollgate/group";

/// Where the browser of somebody who logged out at another leaves its session.
pub(super) const GROUP_LOGOUT_PATH: &str = "/.tollgate/group/logout";

/// What a site of the group sends a browser to another one for.
#[derive(Clone, Copy)]
pub(super) enum GroupCall {
    /// [`GROUP_PATH`].
    Question,
    /// [`GROUP_LOGOUT_PATH`].
    Logout,
}

/// The longest URL to which a browser is sent: many servers take no longer ones, and no site a longer
/// `return_url`. Who wants to go further is not asked about.
const LONGEST_URL: usize = 8 * 1024;

/// The parameter that says to the paths of login and logout that the browser has been to all others.
const ASKED: &str = "asked";

impl Gateway {
    /// Sends a stranger who wants to go to `return_to` to be asked about at the other sites. `None` if
    /// there are none, if this is not a person who goes to a page, or if it led nowhere too often.
    pub(super) fn ask_group(
        &self,
        request: &Request,
        visit: &Visit<'_>,
        return_to: &ReturnTo,
    ) -> Option<Response> {
        let (sso, site) = (&self.shared.sso, &visit.front.site);
        let next = sso.sites.next_in_group(site, site)?;
        let headers = request.headers();
        let is_person = *request.method() == Method::GET && is_navigation(headers) && !is_prefetch(headers);
        if !is_person || sso.goes_in_rounds(visit.browser()) {
            return None;
        }
        let browser = visit.browser_or_new(sso.entropy());
        let question = Question { site, return_to, state: &browser.state_for(&site.name) };
        let mut response = reply::redirect(StatusCode::FOUND, &question.put_to(next)?);
        introduce(visit, &browser, &mut response);
        Some(response)
    }

    /// The same for who follows a link to the login page: unless all have been asked already, or it is
    /// somebody who is signed in and wants to be somebody else.
    pub(super) async fn ask_group_at_login(
        &self,
        request: &Request,
        visit: &Visit<'_>,
        return_to: &ReturnTo,
    ) -> Option<Response> {
        let is_to_ask = visit.front.site.sso_group.is_some() && visit.parameter(ASKED).is_none();
        if !is_to_ask || !matches!(self.visitor(visit).await, Ok(None)) {
            return None;
        }
        self.ask_group(request, visit, return_to)
    }

    /// Receives the browser of somebody whom another site of the group has sent here with this call.
    pub(super) async fn group_endpoint(
        &self,
        request: &Request,
        visit: &Visit<'_>,
        call: GroupCall,
    ) -> Result<Response, Fault> {
        if let Some(instead) = deliberate_at_top(request, visit)? {
            return Ok(instead);
        }
        let (site, origin) = self.fellow(visit)?;
        match call {
            GroupCall::Question => self.answer_fellow(visit, site, origin).await,
            GroupCall::Logout => self.log_out_for_fellow(visit, site, origin).await,
        }
    }

    /// Says to `site` whether somebody is signed in here who wants to go on there.
    async fn answer_fellow(
        &self,
        visit: &Visit<'_>,
        site: &Arc<Site>,
        origin: &Origin,
    ) -> Result<Response, Fault> {
        let (sites, own) = (&self.shared.sso.sites, &visit.front.site);
        let parameter = |name| visit.parameter(name).unwrap_or_default();
        let state = LoginState::parse_own(&parameter("state")).ok_or(Fault::NotFound)?;
        // It is the other site's business where its visitors may be sent.
        let return_to = ReturnTo::parse(&parameter("return_url"), origin, &site.hosts);
        let question = Question { site, return_to: &return_to, state: &state };
        let location = match self.hand_on(visit, site, state.clone()).await {
            Ok(Some(token)) => question.answered(origin, &token),
            Ok(None) => {
                let next = sites.next_in_group(site, own).and_then(|next| question.put_to(next));
                next.unwrap_or_else(|| question.answered_by_nobody(origin))
            }
            // Whoever is asked next does not know either.
            Err(_) => question.answered_by_nobody(origin),
        };
        Ok(reply::redirect(StatusCode::FOUND, &location))
    }

    /// The other site of the group that sent the visitor here, and where it is found.
    fn fellow(&self, visit: &Visit<'_>) -> Result<(&Arc<Site>, &Origin), Fault> {
        let own = &visit.front.site;
        let name = visit.parameter("site").as_deref().and_then(SiteName::parse).ok_or(Fault::NotFound)?;
        let site = self.shared.sso.sites.by_name(&name).ok_or(Fault::NotFound)?;
        if site.sso_group.is_none() || site.sso_group != own.sso_group || site.name == own.name {
            return Err(Fault::NotFound);
        }
        Ok((site, site.public_url.as_ref().ok_or(Fault::NotFound)?))
    }

    /// A token for `site`, if somebody is signed in here who may be handed on.
    async fn hand_on(
        &self,
        visit: &Visit<'_>,
        site: &Arc<Site>,
        state: LoginState,
    ) -> Result<Option<LoginToken>, Fault> {
        // Of two sessions it cannot be told which is the visitor's.
        if matches!(visit.session_key(), Err(Fault::DoubledCookie)) {
            return Ok(None);
        }
        let Some(live) = self.visitor(visit).await? else { return Ok(None) };
        Ok(self.shared.sso.hand_on(&live, &visit.front.site, site, state, &visit.cause()).await?)
    }
}

/// Logging out of all sites in a browser. Sessions that came from one login end at once; but there may be
/// others, of another login, or of one that has run out here and cannot be compared any more. Who is told
/// "signed out", and is let in by one of them with the next click, was lied to. So the browser goes round,
/// and leaves at each what it has there.
impl Gateway {
    /// Sends a browser that has logged out here to do so at the other sites. `None` if there are none, if it
    /// was there already, or if this is a script or a frame, which cannot be sent.
    pub(super) fn log_out_of_group(
        &self,
        request: &Request,
        visit: &Visit<'_>,
        return_to: Option<&ReturnTo>,
    ) -> Option<Response> {
        let site = &visit.front.site;
        let next = self.shared.sso.sites.next_in_group(site, site)?;
        if visit.parameter(ASKED).is_some() || !is_navigation(request.headers()) {
            return None;
        }
        let location = round_of_logout(next, site, return_to)?;
        Some(reply::redirect(reply::see_other(request.method()), &location))
    }

    /// Ends the session here of who logged out at `site`.
    async fn log_out_for_fellow(
        &self,
        visit: &Visit<'_>,
        site: &Site,
        origin: &Origin,
    ) -> Result<Response, Fault> {
        let (sso, own) = (&self.shared.sso, &visit.front.site);
        self.leave(visit).await?;
        let named = visit.parameter("return_url");
        let return_to = named.map(|named| ReturnTo::parse(&named, origin, &site.hosts));
        let next = sso.sites.next_in_group(site, own);
        let next = next.and_then(|next| round_of_logout(next, site, return_to.as_ref()));
        let location = next.unwrap_or_else(|| {
            let back = with_return_url(LOGOUT_PATH, return_to.as_ref());
            format!("{origin}{back}{ASKED}=1")
        });
        let mut response = reply::redirect(StatusCode::FOUND, &location);
        forget_visitor(visit, &mut response);
        Ok(response)
    }
}

/// Whether a person opened the page, and in no frame: there cookies and ways are others. If not, what to
/// answer instead.
fn deliberate_at_top(request: &Request, visit: &Visit<'_>) -> Result<Option<Response>, Fault> {
    let instead = deliberate(request, visit)?;
    if instead.is_none() && !is_navigation(request.headers()) {
        return Err(Fault::NotANavigation);
    }
    Ok(instead)
}

/// Where the browser of who logged out at `site` leaves its session at `member`.
fn round_of_logout(member: &Site, site: &Site, return_to: Option<&ReturnTo>) -> Option<String> {
    let origin = member.public_url.as_ref()?;
    Some(format!("{origin}{}site={}", with_return_url(GROUP_LOGOUT_PATH, return_to), site.name))
}

/// `path` with the parameter if there is one, ready for another.
fn with_return_url(path: &str, return_to: Option<&ReturnTo>) -> String {
    match return_to {
        Some(return_to) => format!("{}&", return_to.as_parameter_of(path)),
        None => format!("{path}?"),
    }
}

/// What the members are asked: who the stranger at `site` is, who wants to go to `return_to` there.
struct Question<'a> {
    site: &'a Site,
    return_to: &'a ReturnTo,
    state: &'a LoginState,
}

impl Question<'_> {
    /// Where the browser is sent to put it to `member`; `None` if that would be too long to be answered.
    fn put_to(&self, member: &Site) -> Option<String> {
        let origin = member.public_url.as_ref()?;
        let (site, state) = (&self.site.name, self.state.as_str());
        // Neither has a character in it that means something in a query.
        let url = format!("{origin}{}&site={site}&state={state}", self.return_to.as_parameter_of(GROUP_PATH));
        (url.len() <= LONGEST_URL).then_some(url)
    }

    /// Where the browser is sent with the answer; `origin` is where the site is found.
    fn answered(&self, origin: &Origin, token: &LoginToken) -> String {
        let (parameter, token) = (&self.site.token_param, token.expose());
        format!("{origin}{}&{parameter}={token}", redeem_path(self.return_to))
    }

    /// Where the browser is sent whom nobody knows.
    fn answered_by_nobody(&self, origin: &Origin) -> String {
        format!("{origin}{}&{ASKED}=1", login_path(self.return_to))
    }
}
