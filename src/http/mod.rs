//! What the gateway has to say about HTTP itself, one concern a file.

pub mod access_log;
pub mod body;
pub mod caching;
pub mod client;
pub mod code;
pub mod connection;
pub mod connection_auth;
pub mod cookies;
pub mod digits;
pub mod forged;
pub mod form;
pub mod forwarded;
pub mod h1;
pub mod h2_head;
mod hops;
pub mod initiator;
pub mod interim;
pub mod lines;
pub mod navigation;
pub mod private_caching;
pub mod reply;
pub mod request_fields;
pub mod request_id;
pub mod response_fields;
pub mod tunnel;
pub mod watch;
pub mod webdav;
pub mod websocket;

/// A request as it came.
pub type Request = ::http::Request<body::Incoming>;

/// A response of the gateway.
pub type Response = ::http::Response<body::Body>;
