//! The names of everything in the Redis. What one script touches has one `{tag}`, so that it lies
//! in one slot of a cluster.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::seal::Seal;
use crate::domain::opaque::{SessionHash, TokenHash};
use crate::domain::session::{Session, SessionId};
use crate::domain::site::SiteName;
use crate::domain::user::UserId;
use crate::store::NonceKey;

/// What every key and channel begins with.
macro_rules! prefix {
    ($rest:literal) => {
        concat!("tollgate:", $rest)
    };
}

/// The channel on which nodes tell each other what happened to sessions.
pub(super) const NEWS: &str = prefix!("news");

/// The users' numbers, in order.
pub(super) const USERS: &str = prefix!("users");

/// The last number that a user got.
pub(super) const LAST_USER: &str = prefix!("users:last");

/// Over how many keys the lists of all sessions and of all tokens are spread.
pub(super) const SHARDS: usize = 16;

/// The channel on which a node hears its own heart.
pub(super) fn beat(node: &str) -> String {
    format!(prefix!("beat:{}"), node)
}

pub(super) fn token(hash: &TokenHash) -> String {
    format!(prefix!("token:{{{}}}"), encode(hash.as_bytes()))
}

/// What is known of a session: `r` is its record, `s` when it was last seen, and `p` is there as
/// long as it has not been let in.
pub(super) fn session(hash: &SessionHash) -> String {
    format!(prefix!("session:{{{}}}"), encode(hash.as_bytes()))
}

/// Why a session ended.
pub(super) fn fate(hash: &SessionHash) -> String {
    format!(prefix!("fate:{{{}}}"), encode(hash.as_bytes()))
}

/// The sessions of one person.
pub(super) fn sessions_of(email_key: &str, seal: &Seal) -> String {
    format!(prefix!("person:{{{}}}:sessions"), seal.pseudonym(email_key))
}

/// The open tokens of one person.
pub(super) fn tokens_of(email_key: &str, seal: &Seal) -> String {
    format!(prefix!("person:{{{}}}:tokens"), seal.pseudonym(email_key))
}

/// The number of the user with an address.
pub(super) fn email(email_key: &str, seal: &Seal) -> String {
    format!(prefix!("email:{{{}}}"), seal.pseudonym(email_key))
}

pub(super) fn user(id: UserId) -> String {
    format!(prefix!("user:{{{}}}"), id)
}

pub(super) fn nonce(key: &NonceKey) -> String {
    format!(prefix!("nonce:{{{}}}"), encode(key))
}

/// The keys with which a site signs: `v` is their revision, `r` what the vault made of them.
pub(super) fn key_ring(site: &SiteName) -> String {
    format!(prefix!("keys:{{{}}}"), site)
}

/// The paused requests of one browser.
pub(super) fn parked(browser: &[u8; 32]) -> String {
    format!(prefix!("parked:{{{}}}"), encode(browser))
}

/// What one attempt to take a paused request got.
pub(super) fn unparked(browser: &[u8; 32], attempt: &str) -> String {
    format!(prefix!("parked:{{{}}}:{}"), encode(browser), attempt)
}

/// Where all sessions stand in the order of their names, by shard.
pub(super) fn shard(number: usize) -> [String; 2] {
    [format!(prefix!("sessions:{{{}}}"), number), format!(prefix!("sessions:{{{}}}:until"), number)]
}

/// The shard in which a session stands.
pub(super) fn shard_of(id: SessionId) -> [String; 2] {
    shard(shard_number(id))
}

/// Where the sessions of one site in a shard stand by when they end if nobody uses them.
pub(super) fn shard_of_site(number: usize, site: &SiteName) -> String {
    format!(prefix!("sessions:{{{}}}:of:{}"), number, site)
}

/// Where a session stands among those of its site.
pub(super) fn counted_in(session: &Session) -> String {
    shard_of_site(shard_number(session.id), &session.site)
}

fn shard_number(id: SessionId) -> usize {
    id.to_string().bytes().last().map_or(0, usize::from) % SHARDS
}

/// Where all open tokens stand, by shard.
pub(super) fn token_shard(number: usize) -> String {
    format!(prefix!("tokens:{{{}}}"), number)
}

/// The shard in which a token stands.
pub(super) fn token_shard_of(hash: &TokenHash) -> String {
    let [first, ..] = hash.as_bytes();
    token_shard(usize::from(*first) % SHARDS)
}

/// A hash as keys and messages spell it.
pub(super) fn encode(hash: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(hash)
}

/// Reads what [`encode`] writes.
pub(super) fn decode(text: &[u8]) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
