//! tollgate: a reverse proxy that opens a closed site to whoever comes back from its login page
//! with a one-time token.
//!
//! `ARCHITECTURE.md` has the plan of the house and the life of a request. The groups below stand
//! in the order of their layers: each imports only from those above it.

pub mod config;
pub mod domain;
