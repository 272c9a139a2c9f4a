//! What the plain API is, as an OpenAPI document for programs (`/v1/openapi.json`) and as a page for
//! people (`/docs`). The page is made of the document, which the tests drive the server from.

mod page;

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::ApiError;
use crate::domain::site::SiteName;
use crate::http::{Request, Response, reply};

/// The document (OpenAPI 3.1), but for what depends on the configuration.
const DOCUMENT: &str = include_str!("../openapi.json");

/// Where a site is named.
const SITE_PARAMETER: &str = "/components/parameters/Site/schema";

/// Where several are.
const ROLES: &str = "/components/schemas/UserChange/properties/roles";

/// Where not to name one may be possible.
const SITE_MEMBER: &str = "/components/schemas/TokenOrder/properties/site";

/// The same, where none means all.
const SIGNING_SITE: &str = "/components/schemas/SigningKeyOrder/properties/site";

/// The API as it is for the sites that there are. It is put together when somebody first asks.
pub(super) struct Reference {
    sites: Vec<SiteName>,
    made: OnceLock<Made>,
}

struct Made {
    document: Bytes,
    page: Bytes,
}

impl Reference {
    /// The API for `sites`.
    pub(super) fn new(sites: Vec<SiteName>) -> Self {
        Self { sites, made: OnceLock::new() }
    }

    fn made(&self) -> &Made {
        self.made.get_or_init(|| Made::of(&self.sites))
    }

    /// Answers at `/v1/openapi.json` and `/docs`; `None` elsewhere.
    pub(super) fn answer(&self, request: &Request) -> Option<Response> {
        let is_page = match request.uri().path() {
            "/docs" => true,
            "/v1/openapi.json" => false,
            _ => return None,
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(ApiError::method_not_allowed("GET, HEAD").into_response());
        }
        let mut response = if is_page {
            let page = reply::with_body(StatusCode::OK, "text/html; charset=utf-8", self.made().page.clone());
            reply::under_policy(page, &page::CONTENT_SECURITY_POLICY)
        } else {
            reply::with_body(StatusCode::OK, "application/json", self.made().document.clone())
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Some(response)
    }
}

impl Made {
    fn of(sites: &[SiteName]) -> Self {
        let mut whole: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
        let names: Vec<Value> = sites.iter().map(|name| json!(name.as_str())).collect();
        let is_choice = names.len() > 1;
        if let Some(schema) = whole.pointer_mut(SITE_PARAMETER).and_then(Value::as_object_mut) {
            schema.insert("enum".to_owned(), names.clone().into());
        }
        if let Some(schema) = whole.pointer_mut(ROLES).and_then(Value::as_object_mut)
            && let Some(role) = schema.insert("additionalProperties".to_owned(), json!(false))
        {
            let roles = names.iter().filter_map(|name| Some((name.as_str()?.to_owned(), role.clone())));
            schema.insert("properties".to_owned(), Value::Object(roles.collect()));
        }
        if let Some(schema) = whole.pointer_mut(SITE_MEMBER).and_then(Value::as_object_mut) {
            // Where nothing is said there has to be only one that can be meant.
            let none = if is_choice { vec![] } else { vec![json!(""), Value::Null] };
            schema.insert("enum".to_owned(), [names.clone(), none].concat().into());
        }
        if let Some(schema) = whole.pointer_mut(SIGNING_SITE).and_then(Value::as_object_mut) {
            schema.insert("enum".to_owned(), [names.as_slice(), &[Value::Null]].concat().into());
        }
        let required = whole.pointer_mut("/components/schemas/TokenOrder/required");
        if let Some(required) = required.filter(|_| is_choice).and_then(Value::as_array_mut) {
            required.push(json!("site"));
        }
        let page = page::render(&whole).unwrap_or_default().into();
        Self { document: serde_json::to_vec_pretty(&whole).unwrap_or_default().into(), page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(sites: &[&str]) -> Reference {
        Reference::new(sites.iter().map(|name| SiteName::parse(name).unwrap()).collect())
    }

    #[test]
    fn the_document_is_of_this_version_and_of_these_sites() {
        let document = |sites: &[&str]| -> Value {
            let document = serde_json::from_slice(&reference(sites).made().document).unwrap();
            assert!(document != Value::Null);
            document
        };
        let one = document(&["paper"]);
        assert_eq!(one["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(one.pointer(SITE_MEMBER).unwrap()["enum"], json!(["paper", "", null]));
        assert_eq!(one["components"]["schemas"]["TokenOrder"]["required"], json!(["email"]));
        let two = document(&["paper", "wiki"]);
        for pointer in [SITE_PARAMETER, SITE_MEMBER] {
            assert_eq!(two.pointer(pointer).unwrap()["enum"], json!(["paper", "wiki"]), "{pointer}");
        }
        let roles = two.pointer(ROLES).unwrap();
        assert_eq!(roles["properties"].as_object().unwrap().len(), 2);
        assert_eq!(roles["additionalProperties"], json!(false));
        assert_eq!(two["components"]["schemas"]["TokenOrder"]["required"], json!(["email", "site"]));
    }

    #[test]
    fn the_page_tells_of_every_call() {
        let reference = reference(&["paper"]);
        let page = String::from_utf8(reference.made().page.to_vec()).unwrap();
        let document: Value = serde_json::from_slice(&reference.made().document).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let calls = paths.values().flat_map(|path| path.as_object().unwrap().values());
        let ids: Vec<&str> = calls.filter_map(|call| call["operationId"].as_str()).collect();
        assert!(ids.len() > 10);
        for id in ids {
            assert!(page.contains(&format!("<article id=\"{id}\"")), "{id}");
            assert!(page.contains(&format!("<a href=\"#{id}\"")), "{id}");
        }
        assert!(!page.contains("$ref"));
    }
}
