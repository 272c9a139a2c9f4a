//! `[control]`: the listener for operators and login pages.

use std::net::SocketAddr;

use super::certificate;
use super::document::Read;
use super::listeners::Listeners;
use super::section::Section;
use super::server::{overlap, socket_address};
use super::settings::Control;
use crate::domain::host::HostPattern;

/// Reads `[control]`, whose listener joins the gateway's `own` and must not overlap with one.
pub(super) fn read(mut section: Section<'_>, own: &mut Listeners) -> Read<Control> {
    let default = SocketAddr::from(([127, 0, 0, 1], 8081));
    let text = section.text("listen");
    let place = section.place_of("listen");
    let certificate = certificate::read_optional(&mut section);
    let hosts = section.list("hosts", |text| {
        let named = |name: &str| HostPattern::parse(name).filter(|name| *name != HostPattern::Any);
        text.parse(
            named,
            "is not a valid host name",
            "write a name without scheme and port, such as \"gate.example.com\"",
        )
    });
    // Of a certificate that could not be read there is nothing more to say.
    let is_plain = matches!(certificate, Ok(None));
    section.finish();
    let listen = match text? {
        None => default,
        Some(text) => {
            let address = socket_address(&text)?;
            if is_plain && !address.ip().is_loopback() {
                return Err(text.refuse(
                    "is reachable from other machines, and this listener speaks plain HTTP, which would \
                     expose the API keys on the way",
                    "listen on loopback, such as \"127.0.0.1:8081\", or add cert and key",
                ));
            }
            address
        }
    };
    if own.public.iter().any(|public| overlap(public, &listen)) {
        return Err(place.fault(
            "a public listener of [server] has this address too",
            "give the control API a port of its own, such as listen = \"127.0.0.1:8081\"",
        ));
    }
    own.control = Some(listen);
    Ok(Control { listen, certificate: certificate?, hosts: hosts?.unwrap_or_default() })
}
