//! Signing in from within a frame of another site.
//!
//! Login pages rarely let themselves be framed, and a password belongs into a page whose address can be
//! seen. So the frame opens the login page in a tab of its own. But the cookies of tab and frame are kept
//! apart: what is redeemed in the tab is no session in the frame. The way is this one:
//!
//! 1. A stranger in a frame gets a page in place of a redirect ([`Gateway::login_from_frame`]). The state
//!    that it tells the login page belongs to the browser's key *in this frame*, and `return_url` is the
//!    [handover](ReturnTo::handover).
//! 2. The login page sends the tab there with the token. Nothing is redeemed: a script takes the token out
//!    of the address bar and hands it to the page that opened the tab, if that is of this very origin.
//! 3. The frame takes it only from the tab that it has opened, and redeems it for itself. A token has to
//!    have been issued for its state: nobody can have another one slipped into it.

use http::StatusCode;

use super::Gateway;
use super::ancestors::unframeable;
use super::challenge::{introduce, login_url};
use super::redeem::redeem_path;
use super::visit::Visit;
use crate::domain::return_to::ReturnTo;
use crate::http::{Response, reply};
use crate::pages::Page;

impl Gateway {
    /// Tells a person in a frame how to sign in, and come back to `return_to`. The status is that of a
    /// refusal, whoever asks.
    pub(super) fn login_from_frame(
        &self,
        visit: &Visit<'_>,
        return_to: &ReturnTo,
        error: Option<&str>,
    ) -> Response {
        let browser = visit.browser_or_new(self.shared.sso.entropy());
        if error.is_some() {
            self.shared.sso.note_bounce(&browser, visit.client.address);
        }
        let state = browser.state_for(&visit.front.site.name);
        let page = Page::FramedSignIn {
            login_url: &login_url(visit, &ReturnTo::handover(return_to), Some(&state), error),
            redeem_url: &format!("{}&token=", redeem_path(return_to)),
            page_url: return_to.as_str(),
            failed: error.is_some(),
        };
        let answer = reply::page(page.status(), page.render(None), page.content_security_policy());
        let mut response = reply::challenging(answer);
        introduce(visit, &browser, &mut response);
        response
    }
}

/// The page in the tab, to which the login page comes back. It says nothing that depends on who asks.
pub(super) fn handover(visit: &Visit<'_>) -> Response {
    let page_url = visit.return_to(&visit.parameter("return_url").unwrap_or_default());
    let page = Page::Handover { token_param: &visit.front.site.token_param, page_url: page_url.as_str() };
    unframeable(reply::page(StatusCode::OK, page.render(None), page.content_security_policy()))
}
