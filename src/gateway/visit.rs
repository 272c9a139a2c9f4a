//! What a request says, read once and proven: its target, its path, its cookies.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use http::header::{HOST, HeaderMap};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};

use super::Front;
use super::address::Address;
use super::fault::Fault;
use super::presented::Presented;
use crate::config::RedeemMode;
use crate::domain::clock::Timestamp;
use crate::domain::entropy::Entropy;
use crate::domain::host::{Authority, Origin, Scheme};
use crate::domain::opaque::{SessionHash, SessionKey};
use crate::domain::path::RequestPath;
use crate::domain::query::{Extracted, extract_token};
use crate::domain::return_to::ReturnTo;
use crate::domain::state::BrowserKey;
use crate::http::client::Client;
use crate::http::cookies::{CookieNames, GatewayCookies, SessionCookie};
use crate::http::initiator::began_here;
use crate::http::lines::only;
use crate::http::navigation::{Opening, is_navigation, opening};
use crate::http::request_fields::RequestFields;
use crate::http::request_id::RequestId;
use crate::proxy::{ShownCookies, origin_form};
use crate::sso::{Actor, Cause};

/// For whom an answer is: a person gets pages, a program gets JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Person,
    Program,
}

impl Audience {
    /// Whoever sees what a request opens, on a site that others may frame or not.
    pub(super) fn of(opening: Opening, embeds: bool) -> Self {
        match opening {
            Opening::Page => Self::Person,
            Opening::Frame if embeds => Self::Person,
            Opening::Frame | Opening::Nothing => Self::Program,
        }
    }
}

/// What a request is for.
#[derive(Debug)]
pub(super) struct Target {
    /// The host as it came, with its port: not yet known to be one.
    pub(super) host: HeaderValue,
    uri: Uri,
}

impl Target {
    /// Reads `Host`, or the authority of an absolute-form target, which wins over it (RFC 9112
    /// §3.2.2). There has to be exactly one Host, whoever wins, and it has to be one.
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, Fault> {
        let Ok(Some(host)) = only(request.headers(), HOST) else { return Err(Fault::BadHost) };
        let uri = request.uri().clone();
        let host = match uri.authority() {
            None => host.clone(),
            Some(named) => {
                // Nobody asks this server for ftp.
                uri.scheme_str().and_then(Scheme::parse).ok_or(Fault::BadTarget)?;
                host.to_str().ok().and_then(Authority::parse).ok_or(Fault::BadHost)?;
                HeaderValue::from_str(named.as_str()).map_err(|_| Fault::BadHost)?
            }
        };
        Ok(Self { host, uri })
    }

    /// The path, as it came.
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// What is asked of the host, as it came.
    pub(super) fn path_and_query(&self) -> Option<&str> {
        self.uri.path_and_query().map(PathAndQuery::as_str)
    }
}

/// A request to a site.
pub(super) struct Visit<'a> {
    pub(super) front: &'a Front,
    pub(super) client: &'a Client,
    pub(super) request_id: &'a RequestId,
    pub(super) now: Timestamp,
    /// Where the visitor finds the site.
    pub(super) origin: &'a Origin,
    pub(super) path: RequestPath<'a>,
    /// What the token parameter held, if the query had one.
    pub(super) token: Option<Extracted>,
    pub(super) cookie_names: &'a CookieNames,
    /// Whether the browser says that no other site sent the visitor here.
    pub(super) began_here: bool,
    /// Whether a frame is being opened, on a site that others may frame.
    pub(super) framed: bool,
    query: Option<&'a str>,
    pub(super) presented: Rc<Presented>,
    /// The key that the browser gets now.
    new_browser: OnceCell<BrowserKey>,
    /// Whether the request is kept until the visitor has signed in.
    pub(super) is_parked: Cell<bool>,
    /// Whether the token opened a session.
    pub(super) has_redeemed: Cell<bool>,
}

impl<'a> Visit<'a> {
    /// Reads a request with `headers`, of which `fields` says what there is, for `target` at `address`.
    pub(super) fn of(
        headers: &HeaderMap,
        fields: RequestFields,
        address: &'a Address,
        (client, request_id): (&'a Client, &'a RequestId),
        target: &'a Target,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let site = &address.front.site;
        let query = target.uri.query();
        Ok(Self {
            front: &address.front,
            client,
            request_id,
            now,
            origin: &address.origin,
            path: RequestPath::parse(target.uri.path(), site.allow_encoded_slash).map_err(Fault::Path)?,
            token: query.and_then(|query| extract_token(query, &site.token_param)),
            cookie_names: address.cookie_names(),
            began_here: fields.sec_fetch_site && began_here(headers),
            framed: address.front.ancestors.is_some() && opening(headers) == Opening::Frame,
            query,
            presented: address.presented(headers),
            new_browser: OnceCell::new(),
            is_parked: Cell::new(false),
            has_redeemed: Cell::new(false),
        })
    }

    /// Who brings about what comes of it, unless a key says otherwise.
    pub(super) fn cause(&self) -> Cause {
        self.cause_by(Actor::Visitor)
    }

    /// The same by `actor`.
    pub(super) fn cause_by(&self, actor: Actor) -> Cause {
        Cause::new(actor, self.request_id.circumstances(self.client))
    }

    /// Whether a person goes to a page, in a frame as well where that is meant to be.
    pub(super) fn is_navigation(&self, headers: &HeaderMap) -> bool {
        self.framed || is_navigation(headers)
    }

    /// For whom the answer is.
    pub(super) fn audience(&self, headers: &HeaderMap) -> Audience {
        if self.is_navigation(headers) { Audience::Person } else { Audience::Program }
    }

    /// Whether a GET with a token only shows a page with a button. Not in a frame, where a button can be
    /// pressed by who does not see what it is, and where a token that works has been asked for.
    pub(super) fn has_to_confirm(&self) -> bool {
        self.front.site.redeem == RedeemMode::Confirm && !self.framed
    }

    /// Which cookies the upstream may see.
    pub(super) fn shown_cookies(&self) -> ShownCookies {
        let GatewayCookies { any, others, .. } = self.presented.cookies;
        match (any, others) {
            (false, _) => ShownCookies::All,
            (true, true) => ShownCookies::Others,
            (true, false) => ShownCookies::None,
        }
    }

    /// The query, less the token parameter, every other byte as it came.
    pub(super) fn clean_query(&self) -> Option<&str> {
        match &self.token {
            Some(extracted) => extracted.rest.as_deref(),
            None => self.query,
        }
    }

    /// The URL that was asked for, less the token parameter.
    pub(super) fn clean_url(&self) -> ReturnTo {
        ReturnTo::own(&self.path, self.clean_query(), self.origin)
    }

    /// What is forwarded: the path as it was judged, and the query less the token, in
    /// origin-form.
    pub(super) fn forwarded_target(&self, target: &Target) -> Result<Uri, Fault> {
        if self.token.is_none() && target.uri.authority().is_none() {
            return Ok(target.uri.clone());
        }
        origin_form(self.path.as_str(), self.clean_query()).ok_or(Fault::BadTarget)
    }

    /// A redirect target as a visitor or a login page named it; `/` unless it is the site's.
    pub(super) fn return_to(&self, input: &str) -> ReturnTo {
        ReturnTo::parse(input, self.origin, &self.front.site.hosts)
    }

    /// The first parameter called `name` in the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        first_value(self.query?.as_bytes(), name)
    }

    /// The session key that the browser presents.
    pub(super) fn session_key(&self) -> Result<Option<&SessionKey>, Fault> {
        match &self.presented.cookies.session {
            SessionCookie::Key(key) => Ok(Some(key)),
            SessionCookie::Nothing => Ok(None),
            SessionCookie::Ambiguous(_) => Err(Fault::DoubledCookie),
        }
    }

    /// The hash of the session that the browser presents, if it is clear which.
    pub(super) fn session_hash(&self) -> Option<SessionHash> {
        self.session_key().ok().flatten().map(SessionKey::hash)
    }

    /// The hashes of all sessions that the browser presents.
    pub(super) fn session_hashes(&self) -> Vec<SessionHash> {
        match &self.presented.cookies.session {
            SessionCookie::Nothing => Vec::new(),
            SessionCookie::Key(key) => vec![key.hash()],
            SessionCookie::Ambiguous(keys) => keys.iter().map(SessionKey::hash).collect(),
        }
    }

    /// The browser's key, if it has one.
    pub(super) fn browser(&self) -> Option<&BrowserKey> {
        self.presented.cookies.browser.as_ref()
    }

    /// The browser's key, new if it has none, and then the same for all of the answer.
    pub(super) fn browser_or_new(&self, entropy: &dyn Entropy) -> BrowserKey {
        let new = || self.new_browser.get_or_init(|| BrowserKey::mint(entropy));
        self.browser().unwrap_or_else(new).clone()
    }
}

/// The first value of `name` among urlencoded `pairs`.
pub(super) fn first_value(pairs: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(pairs).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
