//! Keeping visitors on https: who comes over plain http is sent there, and browsers are told to
//! stay.

use http::StatusCode;
use http::header::HeaderValue;

use super::Gateway;
use super::address::Address;
use super::visit::Target;
use crate::config::Hsts;
use crate::domain::host::{Authority, Origin, Scheme};
use crate::http::{Response, reply};

impl Gateway {
    /// The same page over https, for a visitor who came without to a site that wants it.
    ///
    /// It is a 308 whatever the method: a form that was sent here is to be sent there, and not to
    /// become a GET on the way. No cache keeps it, so that a token in the URL is not kept either,
    /// and the site can change its mind.
    pub(super) fn to_https(&self, address: &Address, scheme: Scheme, target: &Target) -> Option<Response> {
        let site = &address.front.site;
        if scheme == Scheme::Https || !site.https_redirect {
            return None;
        }
        let named = Authority::parse(address.host.to_str().ok()?)?;
        let public = site.public_url.as_ref().filter(|origin| origin.scheme() == Scheme::Https);
        let port =
            public.map(Origin::port).or(self.shared.https_port).unwrap_or(Scheme::Https.default_port());
        let there = Authority::parse(&format!("{}:{port}", named.host()))?;
        // What is no path is refused further down. What is one cannot lead to another host.
        let target = target.path_and_query().filter(|target| target.starts_with('/'))?;
        let location = format!("{}{target}", Origin::new(Scheme::Https, &there));
        Some(reply::redirect(StatusCode::PERMANENT_REDIRECT, &location))
    }
}

/// `Strict-Transport-Security` (RFC 6797 §6.1).
pub(super) fn strict_transport_security(hsts: Hsts) -> Option<HeaderValue> {
    let subdomains = if hsts.include_subdomains { "; includeSubDomains" } else { "" };
    HeaderValue::from_str(&format!("max-age={}{subdomains}", hsts.max_age.as_secs())).ok()
}
