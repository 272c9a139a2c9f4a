//! What an authority is shown while it looks whether a name is this gateway's, and not a moment longer.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rustls::ServerConfig;

/// The challenges that are pending right now. Hardly ever is there one, and then nobody who asks takes a
/// lock.
#[derive(Default)]
pub struct Challenges {
    files: Board<(String, String), Bytes>,
    handshakes: Board<String, Arc<ServerConfig>>,
}

impl Challenges {
    /// Whether [`file`](Self::file) may know something.
    pub fn has_files(&self) -> bool {
        self.files.count.load(Ordering::Relaxed) > 0
    }

    /// What stands in the file `token` of `host` (RFC 8555 §8.3), if it is pending.
    pub fn file(&self, host: &str, token: &str) -> Option<Bytes> {
        self.files.find(&(host.to_owned(), token.to_owned()))
    }

    /// Whether [`handshake`](Self::handshake) may know something.
    pub fn has_handshakes(&self) -> bool {
        self.handshakes.count.load(Ordering::Relaxed) > 0
    }

    /// How hands are shaken with who wants to validate `host` (RFC 8737 §3), if that is pending.
    pub fn handshake(&self, host: &str) -> Option<Arc<ServerConfig>> {
        self.handshakes.find(&host.to_ascii_lowercase())
    }

    /// Shows `text` as the file `token` of `host` for as long as what this returns is there.
    pub(super) fn show_file(self: &Arc<Self>, host: &str, token: &str, text: Bytes) -> Shown {
        let key = (host.to_owned(), token.to_owned());
        self.files.put(key.clone(), text);
        Shown { challenges: Arc::clone(self), what: What::File(key) }
    }

    /// The same for a handshake.
    pub(super) fn show_handshake(self: &Arc<Self>, host: &str, config: Arc<ServerConfig>) -> Shown {
        self.handshakes.put(host.to_owned(), config);
        Shown { challenges: Arc::clone(self), what: What::Handshake(host.to_owned()) }
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

/// Something that is shown until this is dropped.
pub(super) struct Shown {
    challenges: Arc<Challenges>,
    what: What,
}

enum What {
    File((String, String)),
    Handshake(String),
}

impl Drop for Shown {
    fn drop(&mut self) {
        match &self.what {
            What::File(key) => self.challenges.files.take_down(key),
            What::Handshake(host) => self.challenges.handshakes.take_down(host),
        }
    }
}

/// A map with its size beside it.
struct Board<K, V> {
    count: AtomicUsize,
    shown: RwLock<HashMap<K, V>>,
}

impl<K, V> Default for Board<K, V> {
    fn default() -> Self {
        Self { count: AtomicUsize::new(0), shown: RwLock::default() }
    }
}

impl<K: std::hash::Hash + Eq, V: Clone> Board<K, V> {
    fn find(&self, key: &K) -> Option<V> {
        // Nothing that holds the lock can panic.
        self.shown.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: K, value: V) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        shown.insert(key, value);
        self.count.store(shown.len(), Ordering::Relaxed);
    }

    fn take_down(&self, key: &K) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        shown.remove(key);
        self.count.store(shown.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_shown_for_its_host_and_its_time_alone() {
        let challenges = Arc::<Challenges>::default();
        assert!(!challenges.has_files());
        let shown = challenges.show_file("site.test", "token", Bytes::from_static(b"text"));
        assert!(challenges.has_files() && !challenges.has_handshakes());
        assert_eq!(challenges.file("site.test", "token").as_deref(), Some(&b"text"[..]));
        for (host, token) in [("other.test", "token"), ("site.test", "Token"), ("site.test", "")] {
            assert_eq!(challenges.file(host, token), None, "{host} {token}");
        }
        drop(shown);
        assert_eq!(challenges.file("site.test", "token"), None);
        assert!(!challenges.has_files());
    }
}
