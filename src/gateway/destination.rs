//! The second target of a request: where `COPY` and `MOVE` put what they take (RFC 4918 §10.3).
//!
//! It is judged as the first one is, whatever the method: there are headers by which some servers
//! take one method for another. And since it is collections that are copied, with everything below
//! them, what is asked below counts on both sides.

use http::header::HeaderMap;
use http::{HeaderValue, Method};

use super::fault::Fault;
use super::visit::Visit;
use crate::api::answers_at;
use crate::domain::access::{Demand, Rules};
use crate::domain::host::{Authority, Origin, Scheme};
use crate::domain::path::RequestPath;
use crate::domain::query::{extract_token, join};
use crate::http::lines::{Several, only};
use crate::http::request_fields::RequestFields;
use crate::http::webdav::DESTINATION;

/// A destination on the site, to be forwarded as it was judged.
#[derive(Debug)]
pub(super) struct Destination {
    path: String,
    /// The path, and the query less a token.
    target: String,
}

impl Destination {
    /// Reads `Destination`, if a visit's `headers` have it: once, an absolute URL on the very host that
    /// was `asked` or a path from the root, and no fragment.
    pub(super) fn of(
        headers: &HeaderMap,
        fields: RequestFields,
        visit: &Visit<'_>,
        asked: &HeaderValue,
    ) -> Result<Option<Self>, Fault> {
        if !fields.destination {
            return Ok(None);
        }
        let value = only(headers, &DESTINATION).map_err(|Several| Fault::BadDestination)?;
        let Some(value) = value else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        let text = text.filter(|text| !text.contains('#')).ok_or(Fault::BadDestination)?;
        let target = match text.split_once("://") {
            Some((scheme, rest)) if !text.starts_with('/') => {
                let scheme = Scheme::parse(scheme).ok_or(Fault::ForeignDestination)?;
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, target) = rest.split_at_checked(end).ok_or(Fault::BadDestination)?;
                let authority = Authority::parse(authority).ok_or(Fault::BadDestination)?;
                if !is_here(&Origin::new(scheme, &authority), visit, asked) {
                    return Err(Fault::ForeignDestination);
                }
                target
            }
            // `//host/path` is a URL without a scheme, and no path.
            _ if text.starts_with('/') && !text.starts_with("//") => text,
            _ => return Err(Fault::BadDestination),
        };
        let (path, query) = target.split_once('?').map_or((target, None), |(path, rest)| (path, Some(rest)));
        let path = if path.is_empty() { "/" } else { path };
        let site = &visit.front.site;
        let judged = RequestPath::parse(path, site.allow_encoded_slash).map_err(Fault::Path)?;
        // Nothing that is put there could be had again.
        if judged.is_reserved() || answers_at(site, path) {
            return Err(Fault::ForeignDestination);
        }
        let extracted = query.and_then(|query| extract_token(query, &site.token_param));
        let query = extracted.as_ref().map_or(query, |extracted| extracted.rest.as_deref());
        Ok(Some(Self { target: join(path, query), path: path.to_owned() }))
    }

    /// What a request asks that comes for `source` and leads here: what `method` asks at both ends,
    /// and what there would be asked of who reads the one, or removes it, and writes the other.
    pub(super) fn demand<'r>(
        &self,
        rules: &'r Rules,
        source: &RequestPath<'_>,
        method: &Method,
    ) -> Result<Demand<'r>, Fault> {
        let here = RequestPath::parse(&self.path, true).map_err(Fault::Path)?;
        let mut demand = rules.demand_below(source, method).and(rules.demand_below(source, &Method::GET));
        if method.as_str() != "COPY" {
            demand = demand.and(rules.demand_below(source, &Method::DELETE));
        }
        Ok(demand.and(rules.demand_below(&here, method)).and(rules.demand_below(&here, &Method::PUT)))
    }

    /// Path and query, for the upstream.
    pub(super) fn target(&self) -> &str {
        &self.target
    }
}

/// Whether a visitor who asked for a host means the same by `named`.
fn is_here(named: &Origin, visit: &Visit<'_>, asked: &HeaderValue) -> bool {
    let asked = asked.to_str().ok().and_then(Authority::parse);
    named == visit.origin || asked.is_some_and(|asked| *named == Origin::new(visit.origin.scheme(), &asked))
}
