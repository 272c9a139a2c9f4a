//! Which worker has how many connections.
//!
//! All workers accept from the same sockets, and the kernel wakes whichever it likes: of a
//! thousand connections, one of eight workers may get four hundred and another none. So whoever has
//! accepted one while another worker has clearly fewer hands it over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::listener::Listener;
use super::traffic::Slot;

/// The workers, and how many connections each has.
#[derive(Debug)]
pub(super) struct Roster(Vec<Member>);

#[derive(Debug)]
struct Member {
    connections: AtomicUsize,
    queue: mpsc::UnboundedSender<Handed>,
}

/// A connection on its way to another worker.
pub(super) struct Handed {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) slot: Slot,
    pub(super) seat: Seat,
    /// The listener at which it came in.
    pub(super) listener: Arc<Listener<()>>,
}

/// That a worker has a connection. It is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    roster: Arc<Roster>,
    number: usize,
}

impl Roster {
    /// A roster for so many workers, and what is handed to each.
    pub(super) fn new(workers: usize) -> (Arc<Self>, Vec<mpsc::UnboundedReceiver<Handed>>) {
        let (members, queues) = (0..workers)
            .map(|_| {
                let (queue, handed) = mpsc::unbounded_channel();
                (Member { connections: AtomicUsize::new(0), queue }, handed)
            })
            .unzip();
        (Arc::new(Self(members)), queues)
    }

    /// Seats a connection that worker `own` has accepted: there, or where there are clearly fewer.
    pub(super) fn seat(self: &Arc<Self>, own: usize) -> Seat {
        let count = |member: &Member| member.connections.load(Ordering::Relaxed);
        let fewest = self.0.iter().enumerate().min_by_key(|(_, member)| count(member));
        let mine = self.0.get(own).map_or(0, count);
        let number = match fewest {
            // A few more or less are not worth the way to another thread.
            Some((other, member)) if mine > count(member) + count(member) / 8 => other,
            _ => own,
        };
        if let Some(member) = self.0.get(number) {
            member.connections.fetch_add(1, Ordering::Relaxed);
        }
        Seat { roster: Arc::clone(self), number }
    }
}

impl Seat {
    /// Whose it is.
    pub(super) fn number(&self) -> usize {
        self.number
    }
}

impl Handed {
    /// Hands it to the worker who has its seat; gives it back if that one takes nothing any more, as it is
    /// about to leave.
    pub(super) fn over(self) -> Option<Self> {
        let roster = Arc::clone(&self.seat.roster);
        match roster.0.get(self.seat.number) {
            Some(member) => member.queue.send(self).err().map(|mpsc::error::SendError(handed)| handed),
            None => Some(self),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(member) = self.roster.0.get(self.number) {
            member.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(roster: &Roster) -> Vec<usize> {
        roster.0.iter().map(|member| member.connections.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn whoever_accepts_they_are_spread() {
        let (roster, _queues) = Roster::new(4);
        let mut seats: Vec<Seat> = (0..8).map(|_| roster.seat(2)).collect();
        assert_eq!(counts(&roster), [2, 2, 2, 2]);
        seats.extend((0..992).map(|_| roster.seat(2)));
        let spread = counts(&roster);
        assert!(spread.iter().all(|count| (240..=275).contains(count)), "{spread:?}");
        drop(seats);
        assert_eq!(counts(&roster), [0, 0, 0, 0]);
    }

    #[test]
    fn what_nobody_takes_any_more_comes_back() {
        let (roster, mut queues) = Roster::new(2);
        let slots = Arc::new(tokio::sync::Semaphore::new(2));
        let hand = || {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let peer = socket.local_addr().unwrap();
            let permit = Arc::clone(&slots).try_acquire_owned().unwrap();
            let slot = Slot::taken(permit, &Arc::default());
            let stream = std::net::TcpStream::connect(peer).unwrap();
            let seat = Seat { roster: Arc::clone(&roster), number: 1 };
            let listener = Arc::new(Listener { socket: (), tls: None, proxies: None, h2c: false });
            Handed { stream, peer, slot, seat, listener }
        };
        assert!(hand().over().is_none());
        queues[1].close();
        assert!(queues[1].try_recv().is_ok());
        assert!(hand().over().is_some());
    }

    #[test]
    fn who_has_no_more_than_others_keeps_what_comes() {
        let (roster, _queues) = Roster::new(3);
        let seats: Vec<Seat> = (0..300).map(|own| roster.seat(own % 3)).collect();
        assert!(seats.iter().enumerate().all(|(own, seat)| seat.number() == own % 3));
        let (alone, _queue) = Roster::new(1);
        assert_eq!(alone.seat(0).number(), 0);
    }
}
