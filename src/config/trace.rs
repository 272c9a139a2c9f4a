//! `[trace]`: whose word is taken on the trace that a request belongs to, and where spans go.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};

use super::document::Read;
use super::section::Section;
use super::text::Text;
use super::upstream_tls::{Authorities, authorities};

/// `[trace]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceSettings {
    /// Whose `traceparent` is believed.
    pub trust: TraceTrust,
    /// Where spans go, if there are any.
    pub export: Option<SpanExport>,
}

/// Whose `traceparent` and `tracestate` are believed, and passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceTrust {
    /// Anybody's.
    Any,
    /// Those of trusted proxies.
    #[default]
    Proxies,
    /// Nobody's.
    None,
}

/// Where spans go, and of which requests there are any.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanExport {
    /// The collector.
    pub endpoint: Endpoint,
    /// Which part of the traces that begin here is recorded, from 0 to 1.
    pub sample: f64,
    /// What the collector calls this service.
    pub service: String,
    /// Sent along; their values may be secrets, and are never shown.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who is trusted, in place of the system's authorities.
    pub ca: Option<Authorities>,
}

/// A collector that speaks OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether over TLS.
    pub is_https: bool,
    /// Its host, an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `host:port` as `Host` has it.
    pub authority: String,
    /// The path for spans.
    pub path: String,
}

impl Endpoint {
    /// Reads a base URL as OTLP has it: `/v1/traces` is put behind it.
    fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        let is_https = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let is_plain = url.username().is_empty() && url.password().is_none();
        if !is_plain || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let shown = url.host_str().filter(|host| !host.is_empty())?;
        let host = shown.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default()?;
        let authority = url.port().map_or_else(|| shown.to_owned(), |port| format!("{shown}:{port}"));
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        Some(Self { is_https, host, port, authority, path })
    }
}

/// Which part of the traces is recorded that begin here, where the file does not say.
const SAMPLE: f64 = 0.01;

/// Reads `[trace]`, all of which has defaults.
pub(super) fn read(mut section: Section<'_>) -> Read<TraceSettings> {
    let trusts = [("any", TraceTrust::Any), ("proxies", TraceTrust::Proxies), ("none", TraceTrust::None)];
    let trust = section.choice("trust", TraceTrust::default(), &trusts);
    let endpoint = section.text("endpoint").and_then(|text| {
        let remedy = "write the base URL of a collector, such as \"http://127.0.0.1:4318\"; credentials go \
                      into [trace.headers]";
        text.map(|text| text.parse(Endpoint::parse, "is not a valid collector address", remedy)).transpose()
    });
    let sample = section.fraction("sample", SAMPLE);
    let service = section.text("service");
    let ca = section.text("ca").and_then(|text| text.map(|text| authorities(&text)).transpose());
    let headers = section.texts_by_name("headers").and_then(|entries| {
        let read: Vec<Read<_>> =
            entries.into_iter().map(|(name, place, value)| header(name, &place, value)).collect();
        read.into_iter().collect::<Read<Vec<_>>>()
    });
    let idle = ["sample", "service", "ca", "headers"].into_iter().find(|key| section.has(key));
    let idle = idle.map(|key| section.place_of(key));
    section.finish();
    let Some(endpoint) = endpoint? else {
        if let Some(place) = idle {
            return Err(
                place.fault("is for spans, which are sent nowhere", "add endpoint, or leave this out")
            );
        }
        return Ok(TraceSettings { trust: trust?, export: None });
    };
    let service = service?.map_or_else(|| "tollgate".to_owned(), |text| text.as_str().to_owned());
    let export = SpanExport { endpoint, sample: sample?, service, headers: headers?, ca: ca? };
    Ok(TraceSettings { trust: trust?, export: Some(export) })
}

/// What the exporter says itself.
const OWN: [HeaderName; 4] = [HOST, CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING];

fn header(
    name: &str,
    place: &super::document::Place<'_>,
    value: Read<Text<'_>>,
) -> Read<(HeaderName, HeaderValue)> {
    let value = value?;
    let known = HeaderName::from_bytes(name.as_bytes()).ok();
    let Some(name) = known.filter(|name| !OWN.contains(name)) else {
        return Err(place.fault("is not a header that can be sent", "write one such as Authorization"));
    };
    // Not shown, whatever is wrong with it.
    let (place, secret) = value.into_secret()?;
    let Ok(mut value) = HeaderValue::from_str(secret.expose()) else {
        return Err(place.fault("has a character that no header has", "write visible ASCII characters"));
    };
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_an_address_without_secrets() {
        for (text, read) in [
            ("http://127.0.0.1:4318", Some(("127.0.0.1", 4318, "127.0.0.1:4318", "/v1/traces"))),
            ("https://otel.example/", Some(("otel.example", 443, "otel.example", "/v1/traces"))),
            ("http://[::1]:4318/otlp/", Some(("::1", 4318, "[::1]:4318", "/otlp/v1/traces"))),
            ("grpc://127.0.0.1:4317", None),
            ("http://key@otel.example/", None),
            ("http://otel.example/?key=1", None),
            ("127.0.0.1:4318", None),
            ("", None),
        ] {
            let endpoint = Endpoint::parse(text);
            let shown = endpoint.as_ref().map(|endpoint| {
                let Endpoint { host, port, authority, path, .. } = endpoint;
                (host.as_str(), *port, authority.as_str(), path.as_str())
            });
            assert_eq!(shown, read, "{text}");
        }
    }
}
