//! What a connection asks for: found once, as connections rarely ask for more than one host.

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Version};

use super::fault::Fault;
use super::front::Front;
use super::presented::Presented;
use super::request_record::RequestCounters;
use super::visit::Target;
use super::{Gateway, Shared};
use crate::domain::host::{Authority, Origin, Scheme};
use crate::domain::identity::Edition;
use crate::http::client::{Client, Peer};
use crate::http::cookies::CookieNames;
use crate::http::forwarded::Whereabouts;
use crate::http::interim::Interim;
use crate::proxy::{Pin, Pool};

/// A visitor's connection.
pub struct Connection {
    peer: RefCell<Peer>,
    /// The edition of the settings by which the peer was judged.
    edition: Cell<Edition>,
    /// Interim answers for a client in HTTP/1.1.
    pub(super) interim: Interim,
    last: RefCell<Option<Rc<Address>>>,
    /// Its own connection to an upstream, on sites that want that.
    pin: OnceCell<Rc<Pin>>,
}

impl Connection {
    /// A new connection from `peer`, as this edition of the settings sees it.
    pub fn new(peer: Peer, edition: Edition) -> Self {
        Self {
            peer: RefCell::new(peer),
            edition: Cell::new(edition),
            interim: Interim::default(),
            last: RefCell::default(),
            pin: OnceCell::new(),
        }
    }

    /// The next request is judged by what is `shared`: whoever was trusted may not be any more.
    pub(super) fn go_by(&self, shared: &Shared) {
        if self.edition.replace(shared.edition) != shared.edition {
            self.peer.borrow_mut().judge_by(&shared.trusted_proxies);
        }
    }

    /// The other end.
    pub(super) fn peer(&self) -> Ref<'_, Peer> {
        self.peer.borrow()
    }

    /// What is to be said before the answer.
    pub fn interim(&self) -> Option<Vec<u8>> {
        self.interim.take()
    }

    /// Forgets what can be found again: nothing is said on the connection for the time being.
    pub fn rest(&self) {
        self.last.replace(None);
    }
}

/// A site as it was asked for: under one of its hosts, over one scheme.
pub(super) struct Address {
    /// The Host as it came.
    pub(super) host: HeaderValue,
    scheme: Scheme,
    /// By which edition of the settings it was found.
    edition: Edition,
    pub(super) front: Arc<Front>,
    /// The worker's connections to its upstream.
    pub(super) pool: Rc<Pool>,
    /// What this worker counts of the site.
    pub(super) counters: Arc<RequestCounters>,
    /// Where visitors find the site.
    pub(super) origin: Origin,
    pub(super) whereabouts: Whereabouts,
    /// What browsers are told of https, if they came over it.
    pub(super) hsts: Option<HeaderValue>,
    /// The cookies of the last request.
    last_presented: RefCell<Option<Rc<Presented>>>,
}

impl Address {
    /// The names of the site's cookies.
    pub(super) fn cookie_names(&self) -> &CookieNames {
        self.front.cookie_names(self.origin.scheme())
    }

    /// The cookies in `headers`.
    pub(super) fn presented(&self, headers: &HeaderMap) -> Rc<Presented> {
        if let Some(last) = &*self.last_presented.borrow()
            && last.is_the_same(headers)
        {
            return Rc::clone(last);
        }
        let presented = Rc::new(Presented::read(headers, self.cookie_names()));
        self.last_presented.replace(Some(Rc::clone(&presented)));
        presented
    }
}

/// The visitors' connections of a worker that may have connections to upstreams of their own.
#[derive(Default)]
pub(super) struct Pins(RefCell<Vec<Weak<Pin>>>);

impl Pins {
    /// Closes what is over, and forgets whose connection is.
    pub(super) fn sweep(&self) {
        self.0.borrow_mut().retain(|pin| pin.upgrade().inspect(|pin| pin.sweep()).is_some());
    }
}

impl Gateway {
    /// Where `connection` keeps a connection to an upstream for itself. Only one that is a single
    /// visitor's does: on HTTP/2, and behind trusted proxies, requests of many may come in turn.
    pub(super) fn pin(&self, connection: &Connection, client: &Client, version: Version) -> Option<Rc<Pin>> {
        if client.by_trusted_proxy || version == Version::HTTP_2 {
            return None;
        }
        let pin = connection.pin.get_or_init(|| {
            let pin = Rc::<Pin>::default();
            self.pins.0.borrow_mut().push(Rc::downgrade(&pin));
            pin
        });
        Some(Rc::clone(pin))
    }

    /// The site that `target` asks for, as a client who came over `scheme` sees it.
    pub(super) fn address(
        &self,
        connection: &Connection,
        target: &Target,
        scheme: Scheme,
    ) -> Result<Rc<Address>, Fault> {
        if let Some(last) = &*connection.last.borrow()
            && last.host == target.host
            && last.scheme == scheme
            && last.edition == self.shared.edition
        {
            return Ok(Rc::clone(last));
        }
        let authority = target.host.to_str().ok().and_then(Authority::parse).ok_or(Fault::BadHost)?;
        let site = self.shared.sso.sites.by_host(authority.host()).ok_or(Fault::UnknownHost)?;
        let front = self.shared.fronts.get(&site.name).ok_or(Fault::UnknownHost)?;
        let (pool, counters) = self.pools.get(&site.name).ok_or(Fault::UnknownHost)?;
        let origin = site.public_url.clone().unwrap_or_else(|| Origin::new(scheme, &authority));
        // The upstream hears of the host that was asked for, under the scheme that visitors use.
        let asked = Origin::new(origin.scheme(), &authority);
        let address = Rc::new(Address {
            // A copy: what came is a slice of all that came, which would be kept with it.
            host: HeaderValue::from_bytes(target.host.as_bytes()).map_err(|_| Fault::BadHost)?,
            scheme,
            edition: self.shared.edition,
            hsts: front.hsts.clone().filter(|_| scheme == Scheme::Https),
            front: Arc::clone(front),
            pool: Rc::clone(pool),
            counters: Arc::clone(counters),
            origin,
            last_presented: RefCell::default(),
            whereabouts: Whereabouts::new(&connection.peer(), &asked).ok_or(Fault::BadHost)?,
        });
        connection.last.replace(Some(Rc::clone(&address)));
        Ok(address)
    }
}
