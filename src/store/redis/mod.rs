//! The store that many nodes share: a Redis or Valkey, alone, with sentinels, or as a cluster.
//!
//! Three ideas carry it. What may happen once only happens in one step on the server, in a script
//! that may be sent twice ([`scripts`]). What requests need is kept here, too, for as long as it is
//! certain that a change would be heard of ([`near`], [`feed`]). And whatever is read back is
//! believed only with a seal ([`seal`]): what cannot be read is nobody's session, and an error.

mod admission;
mod count;
mod directory;
mod driver;
mod failure;
mod feed;
mod key_rings;
mod keys;
mod link;
mod lists;
mod near;
mod nonces;
mod parked;
mod scripts;
mod seal;
mod seen;
mod sessions;
mod tokens;
mod trouble;
mod vault;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use ::redis::Value;

use self::count::SessionCounts;
use self::driver::{Driver, Exchange};
use self::link::Way;
use self::near::Near;
use self::seal::Seal;
use self::trouble::Trouble;
use self::vault::Vault;
use super::memory::Lot;
use super::record::{Damaged, Recorded};
use super::{Directory, KeyStore, NonceStore, ParkedStore, SessionStore, Stores, TokenStore};
use crate::config::{RedisSettings, Site};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::entropy::{Entropy as _, SystemEntropy};
use crate::domain::opaque::SessionHash;
use crate::domain::site::SiteName;

/// How much longer than it is needed something stays in the Redis. What is over is judged by its own
/// times; this only has to be more than these may be behind there.
const SLACK: Duration = Duration::from_mins(1);

/// Opens the store. It may turn out later that there is none: whoever asks it then gets no answer.
pub(super) fn open(
    settings: &RedisSettings,
    sites: &[Arc<Site>],
    clock: Arc<dyn Clock>,
) -> io::Result<Stores> {
    let way = Arc::new(Way::new(settings));
    let near = Arc::new(Near::new(way.is_cluster()));
    let driver = Driver::start(Arc::clone(&way))?;
    let inner = Arc::new(Inner {
        exchange: Arc::clone(&driver.exchange),
        near: Arc::clone(&near),
        seal: Seal::new(settings.secret.as_ref()),
        vault: settings.secret.as_ref().and_then(Vault::new),
        sites: RwLock::new(by_name(sites)),
        clock,
        session_counts: SessionCounts::default(),
        brought: Mutex::default(),
    });
    let node = random_name();
    driver.spawn(feed::follow(way, Arc::clone(&driver.exchange), near, node));
    let (seen, heard) = tokio::sync::mpsc::unbounded_channel();
    driver.spawn(seen::write_down(Arc::clone(&inner), heard));
    driver.spawn(count::keep_counting(Arc::clone(&inner)));
    let store = Arc::new(Redis { driver, inner, seen });
    Ok(Stores {
        tokens: Arc::clone(&store) as Arc<dyn TokenStore>,
        sessions: Arc::clone(&store) as Arc<dyn SessionStore>,
        directory: Arc::clone(&store) as Arc<dyn Directory>,
        nonces: Arc::clone(&store) as Arc<dyn NonceStore>,
        keys: Arc::clone(&store) as Arc<dyn KeyStore>,
        parked: store as Arc<dyn ParkedStore>,
    })
}

/// The store.
struct Redis {
    driver: Driver,
    inner: Arc<Inner>,
    /// What is to be written down of uses.
    seen: tokio::sync::mpsc::UnboundedSender<seen::Due>,
}

/// What is needed on the store's own thread.
struct Inner {
    exchange: Arc<Exchange>,
    near: Arc<Near>,
    seal: Seal,
    /// For what nobody else may read; there is none without a secret.
    vault: Option<Vault>,
    sites: RwLock<HashMap<SiteName, Arc<Site>>>,
    clock: Arc<dyn Clock>,
    session_counts: SessionCounts,
    /// Which paused requests this node has brought, and how much that is.
    brought: Mutex<Lot<()>>,
}

impl Inner {
    /// The site with this name, as it is now.
    fn site(&self, name: &SiteName) -> Option<Arc<Site>> {
        self.sites.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The names of all that there are, and of those that there were since the start.
    fn site_names(&self) -> Vec<SiteName> {
        self.sites.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Makes what is read from now on for these sites, and as before for others.
    fn serve(&self, sites: &[Arc<Site>]) {
        self.sites.write().unwrap_or_else(PoisonError::into_inner).extend(by_name(sites));
    }

    /// How long to keep what is over at `until`, in milliseconds.
    fn keep_until(&self, until: Timestamp) -> u64 {
        keep_from(self.clock.now(), until)
    }

    /// Seals the record of `thing` for `place`.
    fn write(&self, place: &str, thing: &impl Recorded) -> Vec<u8> {
        self.seal.close(place, &thing.to_record())
    }

    /// Reads the record that was written at `place`.
    fn read<T: Recorded>(&self, place: &str, sealed: &[u8]) -> Result<T, Damaged> {
        T::from_record(self.seal.open(place, sealed)?.1)
    }
}

fn by_name(sites: &[Arc<Site>]) -> HashMap<SiteName, Arc<Site>> {
    sites.iter().map(|site| (site.name.clone(), Arc::clone(site))).collect()
}

/// How long to keep at `now` what is over at `until`, in milliseconds.
fn keep_from(now: Timestamp, until: Timestamp) -> u64 {
    /// Longer than anything is good; more than that a Redis may not take.
    const MOST: u64 = 400 * 24 * 3600 * 1000;
    let time = now.until(until).saturating_add(SLACK).as_millis();
    u64::try_from(time).unwrap_or(MOST).min(MOST)
}

/// The text in `value`; `None` if there is nothing.
fn text(value: Value) -> Result<Option<Vec<u8>>, Trouble> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(text) => Ok(Some(text)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        _ => Err(Trouble::Damaged),
    }
}

fn number(value: &Value) -> Result<i64, Trouble> {
    if let Value::Int(number) = value { Ok(*number) } else { Err(Trouble::Damaged) }
}

fn list(value: Value) -> Result<Vec<Value>, Trouble> {
    if let Value::Array(values) = value { Ok(values) } else { Err(Trouble::Damaged) }
}

/// The texts in a list in which each is one.
fn texts(value: Value) -> Result<Vec<Vec<u8>>, Trouble> {
    list(value)?.into_iter().map(|value| text(value)?.ok_or(Trouble::Damaged)).collect()
}

/// `text` as a string.
fn string(text: Vec<u8>) -> Result<String, Trouble> {
    String::from_utf8(text).map_err(|_| Trouble::Damaged)
}

/// A name that nobody else has.
fn random_name() -> String {
    let mut bytes = [0; 32];
    SystemEntropy.fill(&mut bytes);
    keys::encode(&bytes)
}

fn hash_of(text: &[u8]) -> Result<SessionHash, Trouble> {
    keys::decode(text).map(SessionHash::from_bytes).ok_or(Trouble::Damaged)
}
