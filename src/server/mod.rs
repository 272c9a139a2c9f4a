//! Listeners, workers and their end.
//!
//! A worker is one thread with a single-threaded runtime: what it serves never leaves it, so
//! nothing on a request's path takes a lock for another thread's sake. The control listener is a
//! worker of its own, and answers however busy the others are.

mod connections;
mod exchange;
mod frames;
mod h1;
mod h2;
mod inherited;
mod listen;
mod listener;
mod look_ahead;
mod metered;
mod orders;
mod preface;
mod proxy_protocol;
mod reception;
mod roster;
mod shortage;
mod socket;
mod tls;
mod traffic;
mod worker;

pub use connections::{Answer, Limits};
pub use inherited::Inherited;
pub use listen::bind;
pub use listener::Listener;
pub use orders::{Change, Readied};
pub use tls::{CertificateWatch, Certificates, Tls};
pub use traffic::{Entrance, Traffic, TrafficFigures};
pub use worker::{Chore, Work, Workers};
