//! What people and programs meet at a running gateway, told over real sockets with a clock that
//! only the story moves. Whether a request passed is judged by what the upstream received.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod acme;
mod acme_attacks;
mod acme_challenges;
mod acme_double;
mod acme_trouble;
mod admin;
mod admin_attacks;
mod admin_typed;
mod api_session;
mod api_strictness;
mod api_v1;
mod applications;
mod assertion;
mod balancing;
mod basic_auth;
mod capacity;
mod carried;
mod chromeless;
mod command_line;
mod connection_auth;
mod cookies;
mod cross_site;
mod directory;
mod durability;
mod embedding;
mod events;
mod forging;
mod forward_auth;
mod forwarding;
mod framing;
mod grpc;
mod h2;
mod h2_conformance;
mod h2_floods;
mod halfway;
mod http2_again;
mod http2_agreement;
mod http2_uploads;
mod http2_upstream;
mod https;
mod interim;
mod keys;
mod login_flow;
mod logs;
mod malformed;
mod metrics;
mod navigation;
mod oauth1;
mod open_files;
mod openapi;
mod outage;
mod paths;
mod paused;
mod paused_attacks;
mod paywall;
mod presets;
mod proxy_protocol;
mod redeem_race;
mod redis;
mod redis_faults;
mod redis_topologies;
#[path = "../reference/mod.rs"]
mod reference;
mod reload;
mod reload_attacks;
mod reload_under_load;
mod renewal;
mod requirements;
mod restart;
mod retry;
mod return_url;
mod revocation;
mod revocation_http2;
mod rewriting;
mod secrecy;
mod separate_sites;
#[path = "../servers/mod.rs"]
mod servers;
mod session_caps;
mod session_counts;
mod sessions;
mod shared_caches;
mod signed_login;
mod spellings;
mod sso_group;
mod store_faults;
mod streaming;
mod support;
mod tls;
mod together;
mod tokens;
mod traces;
mod upstream_faults;
mod upstream_poison;
mod upstreams;
mod watching;
mod webdav;
mod websockets;
mod websockets_http2;
mod withdrawal;
