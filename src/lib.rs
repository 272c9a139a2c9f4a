//! tollgate: a reverse proxy that admits visitors who return from a login page with a one-time
//! token.
//!
//! `ARCHITECTURE.md` has the plan of the house and the life of a request.

pub mod acme;
pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod gateway;
pub mod http;
pub mod journal;
pub mod metrics;
pub mod pages;
pub mod proxy;
pub mod server;
pub mod sso;
pub mod store;
pub mod trace;
