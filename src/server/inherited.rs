//! Sockets that the service manager opened before the program was started, and keeps open while it
//! is started anew: a restart then refuses nobody.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// Listening sockets that came with the process.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Socket>);

#[derive(Debug)]
struct Socket {
    name: String,
    address: SocketAddr,
    listener: TcpListener,
}

impl Inherited {
    /// Takes `listeners`, each of which has the name in its place in `names`, if there is one.
    pub fn new<'a>(
        listeners: impl IntoIterator<Item = TcpListener>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<Self> {
        let names = names.into_iter().chain(std::iter::repeat(""));
        let sockets = listeners.into_iter().zip(names).map(|(listener, name)| {
            // A service manager hands them over as it opened them.
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Socket { name: name.to_owned(), address, listener })
        });
        Ok(Self(sockets.collect::<io::Result<_>>()?))
    }

    /// The sockets for `addresses`, in their order: each one that listens there, or else one that is
    /// called `purpose`. `None` where there is neither.
    pub fn take(&mut self, purpose: &str, addresses: &[SocketAddr]) -> Vec<Option<TcpListener>> {
        let mut found: Vec<Option<TcpListener>> =
            addresses.iter().map(|address| self.remove(|own| own.address == *address)).collect();
        for missing in found.iter_mut().filter(|found| found.is_none()) {
            *missing = self.remove(|own| own.name == purpose);
        }
        found
    }

    /// Ends here if a socket is left that nobody wanted: whoever connects to it would wait forever.
    pub fn finish(self) -> io::Result<()> {
        let Some(Socket { name, address, .. }) = self.0.first() else { return Ok(()) };
        let called = if name.is_empty() { String::new() } else { format!(", called {name:?},") };
        Err(io::Error::other(format!(
            "the inherited socket at {address}{called} belongs to no listener: name its address in the \
             configuration, or call it \"http\", \"https\" or \"control\" (FileDescriptorName= in its unit)"
        )))
    }

    fn remove(&mut self, is_it: impl Fn(&Socket) -> bool) -> Option<TcpListener> {
        let index = self.0.iter().position(is_it)?;
        Some(self.0.remove(index).listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(count: usize) -> (Vec<TcpListener>, Vec<SocketAddr>) {
        let listeners: Vec<TcpListener> =
            (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        (listeners, addresses)
    }

    fn addresses(found: &[Option<TcpListener>]) -> Vec<Option<SocketAddr>> {
        found.iter().map(|found| found.as_ref().map(|found| found.local_addr().unwrap())).collect()
    }

    #[test]
    fn a_socket_goes_by_its_address_and_then_by_its_name() {
        let (listeners, at) = sockets(4);
        let elsewhere = "127.0.0.1:1".parse().unwrap();
        let mut inherited = Inherited::new(listeners, ["", "https", "http", "http"]).unwrap();
        // The third is found at its address although another of that name stands before it.
        let http = inherited.take("http", &[elsewhere, at[3], elsewhere]);
        assert_eq!(addresses(&http), [Some(at[2]), Some(at[3]), None]);
        assert_eq!(addresses(&inherited.take("https", &[at[0]])), [Some(at[0])]);
        assert_eq!(addresses(&inherited.take("control", &[elsewhere])), [None]);
        let left = inherited.finish().unwrap_err().to_string();
        assert!(left.contains(&at[1].to_string()) && left.contains("\"https\""), "{left}");
    }

    #[test]
    fn none_are_left_if_none_came() {
        let mut inherited = Inherited::default();
        assert_eq!(addresses(&inherited.take("http", &["127.0.0.1:1".parse().unwrap()])), [None]);
        assert!(inherited.finish().is_ok());
    }
}
