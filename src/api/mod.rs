//! The token APIs and what belongs to them: the plain one under `/v1/`, and the 23-compatible one
//! under `/api/`. Both answer on the control listener, and on a site's own hosts as far as the
//! site says so.

mod control;
mod error;
mod fields;
mod key_uses;
mod keys;
mod metrics;
mod object;
mod reference;
pub mod session;
mod v1;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::HeaderMap;

use crate::config::{ApiKey, Site};
use crate::domain::host::{Authority, Origin, Scheme};
use crate::domain::opaque::LoginToken;
use crate::domain::return_to::ReturnTo;
use crate::domain::site::SiteName;
use crate::http::client::Client;
use crate::http::code::Code;
use crate::http::lines::only;
use crate::http::request_id::RequestId;
use crate::http::{Request, Response};
use crate::sso::{Cause, Circumstances, Sso};
use error::ApiError;
pub use keys::{Holder, Keys};
pub use metrics::Figures;
use reference::Reference;
use v1::Ears;
pub use v1::{describe_key, signed_order};

/// How a request reached the APIs.
#[derive(Clone, Debug)]
pub struct Via {
    /// The client.
    pub client: Client,
    /// The request's name.
    pub request_id: RequestId,
    /// The origin that the client asked.
    pub origin: Origin,
    /// The site on whose host it was; `None` for the control listener.
    pub site: Option<Arc<Site>>,
}

impl Via {
    /// That the holder of `key` does something.
    fn cause(&self, key: &ApiKey) -> Cause {
        Cause::of_key(key, self.circumstances())
    }

    fn circumstances(&self) -> Circumstances {
        self.request_id.circumstances(&self.client)
    }
}

/// The APIs.
pub struct Api {
    sso: Arc<Sso>,
    keys: Arc<Keys>,
    /// Where visitors find each site, for links that are made away from it.
    homes: HashMap<SiteName, Origin>,
    reference: Reference,
    figures: Figures,
    /// Places for those who listen to events.
    ears: Ears,
    /// Whether no new visitors are let in any more.
    is_draining: Arc<AtomicBool>,
}

/// Whether `path` on a host of `site` is the APIs' and not the upstream's.
pub fn answers_at(site: &Site, path: &str) -> bool {
    site.apis.session && session::is_endpoint(path) || site.apis.sso_tokens && SSO_TOKENS.contains(&path)
}

/// Paths of the plain token API that a site may offer on its own hosts.
const SSO_TOKENS: [&str; 2] = ["/sso_tokens", "/v1/sso_tokens"];

impl Api {
    /// The APIs over `sso` for the holders of `keys`.
    pub fn new(
        sso: Arc<Sso>,
        keys: Arc<Keys>,
        homes: HashMap<SiteName, Origin>,
        figures: Figures,
        is_draining: Arc<AtomicBool>,
    ) -> Self {
        let reference = Reference::new(sso.sites.all().iter().map(|site| site.name.clone()).collect());
        Self { sso, keys, homes, reference, figures, ears: Ears::default(), is_draining }
    }

    /// Answers a request.
    pub async fn handle(&self, request: Request, via: Via) -> Response {
        let path = request.uri().path();
        if session::is_endpoint(path) {
            self.session_api(request, &via).await
        } else {
            self.plain_api(request, &via).await.unwrap_or_else(ApiError::into_response)
        }
    }

    /// Answers a request to the control listener.
    pub async fn handle_control(&self, request: Request, client: Client, request_id: RequestId) -> Response {
        // Health is asked for by balancers that know of no Host.
        if let Some(response) = self.control_page(&request, &client).await {
            return response;
        }
        let Some(origin) = control_origin(request.headers(), client.scheme) else {
            return ApiError::new(Code::BadRequest, "The request needs one valid Host.").into_response();
        };
        let via = Via { client, request_id, origin, site: None };
        self.handle(request, via).await
    }

    /// Where visitors find `site`, as far as this request tells.
    fn home(&self, site: &Site, via: &Via) -> Option<Origin> {
        let asked_there = via.site.as_ref().is_some_and(|own| own.name == site.name);
        if asked_there { Some(via.origin.clone()) } else { self.homes.get(&site.name).cloned() }
    }

    /// Where a browser goes with `token`, to go on to `return_url`: to the host of that, as a session
    /// holds on the host alone where it was opened. A login that began in a frame is to end there, and
    /// nothing is redeemed on the way.
    fn redeem_url(&self, site: &Site, via: &Via, return_url: Option<&str>, token: &str) -> String {
        redeem_url_at(self.home(site, via), site, return_url, token)
    }

    /// The same for a link that is made away from the site; `None` if nobody knows where that is found.
    pub fn redeem_link(&self, site: &Site, return_url: Option<&str>, token: &LoginToken) -> Option<String> {
        let home = self.homes.get(&site.name)?.clone();
        Some(redeem_url_at(Some(home), site, return_url, &token.expose()))
    }

    /// The site that a call is about: the one it names, or that on whose host it was made, or the
    /// only one that the key can mean.
    fn site_for(&self, key: &ApiKey, named: Option<&str>, via: &Via) -> Result<Arc<Site>, SiteFault> {
        let covered = || self.sso.sites.all().iter().filter(|site| key.covers(&site.name));
        let site = match (named, &via.site) {
            (Some(name), Some(site)) if site.name.as_str() != name => return Err(SiteFault::Elsewhere),
            (Some(name), _) => return self.named_site(key, name),
            (None, Some(site)) => site,
            (None, None) => match (covered().next(), covered().nth(1)) {
                (Some(only), None) => only,
                _ => return Err(SiteFault::Ambiguous),
            },
        };
        if key.covers(&site.name) { Ok(Arc::clone(site)) } else { Err(SiteFault::NotCovered) }
    }

    /// The site called `name`, if `key` may act for it. A key that is limited to some sites learns
    /// nothing of others, not even whether they exist.
    fn named_site(&self, key: &ApiKey, name: &str) -> Result<Arc<Site>, SiteFault> {
        match SiteName::parse(name).and_then(|name| self.sso.sites.by_name(&name)) {
            Some(site) if key.covers(&site.name) => Ok(Arc::clone(site)),
            None if key.sites.is_none() => Err(SiteFault::Unknown),
            _ => Err(SiteFault::NotCovered),
        }
    }
}

/// Why it is not clear which site a call is about, or why it may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SiteFault {
    Unknown,
    NotCovered,
    Ambiguous,
    /// A call on the host of one site for another.
    Elsewhere,
}

impl SiteFault {
    /// The error of the plain API, for a site that was `named` in `field`.
    fn into_error(self, field: &str, named: &str) -> ApiError {
        match self {
            Self::Ambiguous => ApiError::parameter_missing(field),
            Self::Unknown => ApiError::parameter_invalid(field, "there is no such site"),
            Self::Elsewhere => ApiError::parameter_invalid(field, "this host is another site's"),
            Self::NotCovered => ApiError::site_not_covered(named),
        }
    }
}

fn redeem_url_at(home: Option<Origin>, site: &Site, return_url: Option<&str>, token: &str) -> String {
    let parameter = &site.token_param;
    let Some(home) = home else {
        return format!("/.tollgate/redeem?{parameter}={token}");
    };
    let target = ReturnTo::parse(return_url.unwrap_or_default(), &home, &site.hosts);
    if !site.embed_origins.is_empty() && target.is_handover() {
        let page = target.absolute(&home);
        let page = page.split('#').next().unwrap_or_default();
        let sign = if page.contains('?') { '&' } else { '?' };
        return format!("{page}{sign}{parameter}={token}");
    }
    let home = target.origin().unwrap_or(home);
    format!("{home}/.tollgate/redeem?{parameter}={token}")
}

fn control_origin(headers: &HeaderMap, scheme: Scheme) -> Option<Origin> {
    let host = only(headers, http::header::HOST).ok()??.to_str().ok()?;
    Some(Origin::new(scheme, &Authority::parse(host)?))
}

/// The store does not answer: the one thing that the APIs cannot help.
fn unavailable() -> Response {
    ApiError::from(crate::store::Unavailable).into_response()
}
