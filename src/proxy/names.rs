//! Where an upstream's name leads. Name servers are asked when a connection is made, not more
//! often than every few seconds, and one that is down is bridged with what it said last.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::domain::clock::Timestamp;

/// How long an answer counts: short enough that moving an upstream needs no restart.
const FRESH: Duration = Duration::from_secs(5);

/// What a worker knows of one name.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: RefCell<Option<(Timestamp, Rc<[SocketAddr]>)>>,
    /// Whether somebody is asking.
    asking: Cell<bool>,
    /// Where a connection came about last.
    answered: Cell<Option<SocketAddr>>,
}

impl Names {
    /// The addresses of `host`, the one that answered last before the others.
    pub(super) async fn look_up(&self, host: &str, port: u16, now: Timestamp) -> io::Result<Vec<SocketAddr>> {
        let known = self.known.borrow().clone();
        let addresses = match known {
            Some((since, addresses)) if since.until(now) < FRESH || self.asking.get() => addresses,
            known => self
                .ask(host, port, now)
                .await
                .or_else(|error| known.map(|(_, addresses)| addresses).ok_or(error))?,
        };
        let mut ordered = addresses.to_vec();
        // A stable sort: whatever order the name server has in mind is kept.
        ordered.sort_by_key(|address| Some(*address) != self.answered.get());
        Ok(ordered)
    }

    /// Remembers that there is somebody at `address`.
    pub(super) fn answers(&self, address: SocketAddr) {
        self.answered.set(Some(address));
    }

    async fn ask(&self, host: &str, port: u16, now: Timestamp) -> io::Result<Rc<[SocketAddr]>> {
        let _asking = Asking::begin(&self.asking);
        let addresses: Rc<[SocketAddr]> = tokio::net::lookup_host((host, port)).await?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        *self.known.borrow_mut() = Some((now, Rc::clone(&addresses)));
        Ok(addresses)
    }
}

/// While it lives, somebody asks: until there is an answer, or nobody waits for it any more.
struct Asking<'a>(&'a Cell<bool>);

impl<'a> Asking<'a> {
    fn begin(asking: &'a Cell<bool>) -> Self {
        asking.set(true);
        Self(asking)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    /// What is known already, of a name that no name server knows.
    fn knowing(addresses: &[&str]) -> Names {
        let names = Names::default();
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        names.known.replace(Some((NOW, addresses)));
        names
    }

    async fn found(names: &Names, now: Timestamp) -> Vec<String> {
        let found = names.look_up("no-such-host.invalid", 80, now).await.unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn the_address_that_answered_last_is_tried_first() {
        let names = knowing(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        assert_eq!(found(&names, NOW).await, ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        names.answers("10.0.0.3:80".parse().unwrap());
        assert_eq!(found(&names, NOW).await, ["10.0.0.3:80", "10.0.0.1:80", "10.0.0.2:80"]);
    }

    #[tokio::test]
    async fn a_name_server_that_is_down_is_bridged() {
        let names = knowing(&["10.0.0.1:80"]);
        assert_eq!(found(&names, NOW.after(FRESH * 100)).await, ["10.0.0.1:80"]);
        let nothing = Names::default();
        assert!(nothing.look_up("no-such-host.invalid", 80, NOW).await.is_err());
        // Who waited for it in vain does not keep the others from asking.
        assert!(!nothing.asking.get());
    }
}
