//! A cable between a gateway and a server that can be cut and blocked.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The cable.
pub(crate) struct Relay {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: Mutex<Vec<TcpStream>>,
    /// What is answered gets lost.
    is_mute: AtomicBool,
    is_closed: AtomicBool,
}

impl Relay {
    /// A cable to the server at `port`.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let state = Arc::clone(&relay.state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if state.is_closed.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                    join(&state, &client, &server);
                }
            }
        });
        relay
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        for connection in self.state.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Lets no answer through from now on, or again.
    pub(crate) fn mute(&self, is_mute: bool) {
        self.state.is_mute.store(is_mute, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.is_closed.store(true, Ordering::Relaxed);
        self.cut();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn join(state: &Arc<State>, client: &TcpStream, server: &TcpStream) {
    let [client, server] = [client, server].map(|end| {
        let _ = end.set_nodelay(true);
        state.connections.lock().unwrap().push(end.try_clone().unwrap());
        end.try_clone().unwrap()
    });
    let (back, forth) = ((server.try_clone().unwrap(), client.try_clone().unwrap()), (client, server));
    for ((mut from, mut to), is_answer) in [(forth, false), (back, true)] {
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            let mut room = [0; 16384];
            while let Ok(length @ 1..) = from.read(&mut room) {
                while is_answer && state.is_mute.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                    if state.is_closed.load(Ordering::Relaxed) {
                        return;
                    }
                }
                if to.write_all(&room[..length]).is_err() {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
