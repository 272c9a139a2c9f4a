//! Answers that the upstream has for others: it said what they take, and this visitor has not got it.

use super::Gateway;
use super::challenge::{introduce, is_own, page_of};
use super::fault::Fault;
use super::forbidden::Refusal;
use super::visit::{Audience, Visit};
use crate::config::RemoteUrl;
use crate::domain::access::Label;
use crate::domain::return_to::ReturnTo;
use crate::domain::state::BrowserKey;
use crate::http::request_id::RequestId;
use crate::http::{Request, Response, reply};
use crate::proxy::Withheld;

impl Gateway {
    /// What a visitor gets in place of such an answer: a stranger what strangers get at a closed path,
    /// anybody else the site's paywall page, or what those get who lack what a route asks.
    pub(super) async fn withheld(
        &self,
        withheld: Withheld,
        request: &Request,
        visit: &Visit<'_>,
        name: &RequestId,
    ) -> Result<Response, Fault> {
        let Withheld { permit, label } = withheld;
        // Where nobody looks who is there, nobody has it, and a login would change nothing.
        if !permit.asked_who() {
            return Err(Fault::MisplacedLabel);
        }
        let label = label.ok_or(Fault::UnreadableLabel)?;
        let Some(visitor) = permit.visitor() else { return self.challenge_bare(request, visit).await };
        let refuse = |paywall_url: Option<&str>| {
            let alternatives = label.alternatives();
            let refusal = Refusal { visitor: Some(visitor), alternatives: &alternatives, paywall_url };
            refusal.into_response(request, visit, name)
        };
        let Some(page) = visit.front.site.paywall_url.as_ref().filter(|page| !is_at(visit, page)) else {
            return Ok(refuse(None));
        };
        let headers = request.headers();
        let audience = visit.audience(headers);
        // A script of another origin has no business with this browser's state.
        let is_own = audience == Audience::Person || is_own(headers, visit);
        let browser = is_own.then(|| visit.browser_or_new(self.shared.sso.entropy()));
        let url = paywall_url(page, visit, &label, &page_of(headers, visit), browser.as_ref());
        let mut response = match audience {
            Audience::Person => reply::redirect(reply::see_other(request.method()), &url),
            Audience::Program => refuse(Some(&url)),
        };
        if let Some(browser) = browser {
            introduce(visit, &browser, &mut response);
        }
        Ok(response)
    }
}

/// The paywall page, which may sell what is missing and send the visitor back with a token: so it is
/// told what a login page is told, and what it takes.
fn paywall_url(
    page: &RemoteUrl,
    visit: &Visit<'_>,
    label: &Label,
    return_to: &ReturnTo,
    browser: Option<&BrowserKey>,
) -> String {
    let site = &visit.front.site.name;
    let return_url = return_to.absolute(visit.origin);
    let state = browser.map(|browser| browser.state_for(site));
    let parameters = [
        Some(("return_url", return_url.as_str())),
        Some(("site", site.as_str())),
        state.as_ref().map(|state| ("state", state.as_str())),
        Some(("required", label.words())),
    ];
    page.with(parameters.into_iter().flatten())
}

/// Whether a visit is to `page` itself: nobody is sent there in circles.
fn is_at(visit: &Visit<'_>, page: &RemoteUrl) -> bool {
    let (host, port, path) = page.destination();
    visit.origin.host() == host && visit.origin.port() == port && visit.path.as_str() == path
}
