//! Real servers for stories, and what can be done to them.

#![allow(dead_code, reason = "not every test binary needs all of it, and which lacks what differs")]

pub(crate) mod carriers;
pub(crate) mod pebble;
pub(crate) mod redis;
pub(crate) mod relay;
