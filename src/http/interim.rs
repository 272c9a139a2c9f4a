//! Answers before the answer (RFC 9110 §15.2): above all 103, which tells a browser what a page will
//! need while the page is still being made (RFC 8297).

use std::cell::RefCell;

use http::header::{CONTENT_LENGTH, SET_COOKIE};
use http::{HeaderMap, StatusCode};

use super::h1::put;
use super::response_fields::is_label;
use crate::domain::identity::begins_like;

/// What may wait for a client that does not read. What comes beyond is not missed: an interim answer
/// promises nothing.
const MOST: usize = 64 * 1024;

/// What upstreams say to the gateway alone.
const OURS: [&[u8]; 2] = [b"x-tollgate-", b"x-access-"];

/// Interim answers on their way to a client in HTTP/1.1.
#[derive(Debug, Default)]
pub struct Interim(RefCell<Vec<u8>>);

impl Interim {
    /// Passes an interim answer on. Without cookies: whether the upstream may set them is decided on
    /// the answer itself. One that says what it takes is part of an answer that is not for everybody:
    /// whether it is for this visitor is decided there as well.
    pub fn tell(&self, status: StatusCode, headers: &HeaderMap) {
        if headers.keys().any(is_label) {
            return;
        }
        let mut head = Vec::new();
        head.extend_from_slice(b"HTTP/1.1 ");
        head.extend_from_slice(status.as_str().as_bytes());
        head.push(b' ');
        head.extend_from_slice(status.canonical_reason().unwrap_or("Interim").as_bytes());
        head.extend_from_slice(b"\r\n");
        for (name, value) in headers {
            let is_for_us = OURS.iter().any(|own| begins_like(name.as_str().as_bytes(), own));
            if *name != SET_COOKIE && *name != CONTENT_LENGTH && !is_for_us {
                put(&mut head, name.as_str().as_bytes(), value.as_bytes());
            }
        }
        head.extend_from_slice(b"\r\n");
        let mut waiting = self.0.borrow_mut();
        if waiting.len() + head.len() <= MOST {
            waiting.extend_from_slice(&head);
        }
    }

    /// What is to be sent now.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut waiting = self.0.borrow_mut();
        (!waiting.is_empty()).then(|| std::mem::take(&mut *waiting))
    }
}
