//! Clients of the control API: one that says anything to it, and the login page that wants only
//! tokens.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::wire::{Connection, Response};

/// A client of the control API. Every request has a connection of its own.
#[derive(Clone)]
pub(crate) struct ApiClient {
    control: SocketAddr,
    from: IpAddr,
    host: String,
    key: Option<String>,
}

impl ApiClient {
    pub(crate) fn new(control: SocketAddr, key: Option<&str>) -> Self {
        let from = Ipv4Addr::LOCALHOST.into();
        Self { control, from, host: control.to_string(), key: key.map(str::to_owned) }
    }

    /// The same client with another key, or none.
    pub(crate) fn with_key(&self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self.clone() }
    }

    /// The same client at another address: 127.0.`third`.`fourth`.
    pub(crate) fn at_address(&self, third: u8, fourth: u8) -> Self {
        Self { from: Ipv4Addr::new(127, 0, third, fourth).into(), ..self.clone() }
    }

    /// The same client, talking to a site's own host on the public listener at `address`.
    pub(crate) fn on_site(&self, address: SocketAddr, host: &str) -> Self {
        Self { control: address, host: host.to_owned(), ..self.clone() }
    }

    pub(crate) async fn get(&self, target: &str) -> Response {
        self.send("GET", target, &[], b"").await
    }

    pub(crate) async fn delete(&self, target: &str) -> Response {
        self.send("DELETE", target, &[], b"").await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Response {
        self.json("POST", target, body).await
    }

    pub(crate) async fn patch(&self, target: &str, body: &Value) -> Response {
        self.json("PATCH", target, body).await
    }

    async fn json(&self, method: &str, target: &str, body: &Value) -> Response {
        self.send(method, target, &[("Content-Type", "application/json")], body.to_string().as_bytes()).await
    }

    /// A form by POST, as the 23-compatible API takes it.
    pub(crate) async fn form(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", target, &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes())
            .await
    }

    /// Any request at all.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if let Some(key) = &self.key {
            let _infallible = write!(request, "Authorization: Bearer {key}\r\n");
        }
        for (name, value) in headers {
            let _infallible = write!(request, "{name}: {value}\r\n");
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            let _infallible = write!(request, "Content-Length: {}\r\n", body.len());
        }
        request.push_str("\r\n");
        self.send_raw(&[request.as_bytes(), body].concat()).await.expect("the control API answers")
    }

    /// These bytes on a connection of their own. `None` if the gateway only hangs up.
    pub(crate) async fn send_raw(&self, bytes: &[u8]) -> Option<Response> {
        let method = String::from_utf8_lossy(bytes.split(|byte| *byte == b' ').next().unwrap_or_default());
        Connection::open(self.from, self.control).await.exchange(bytes, &method).await
    }

    /// Every item of the list at `target`, page by page, and how many pages there were.
    pub(crate) async fn all(&self, target: &str) -> (Vec<Value>, usize) {
        let (mut items, mut pages, mut next) = (Vec::new(), 0, target.to_owned());
        loop {
            let answer = self.get(&next).await;
            assert_eq!(answer.status, 200, "{next}: {}", answer.text());
            let page = Page::of(&answer.json());
            assert!(!page.items.is_empty() || pages == 0, "an empty page behind a cursor: {next}");
            items.extend(page.items);
            pages += 1;
            let Some(cursor) = page.next else { return (items, pages) };
            assert!(pages < 1_000, "the cursors lead in a circle");
            let sign = if target.contains('?') { '&' } else { '?' };
            next = format!("{target}{sign}cursor={}", super::encoded(&cursor));
        }
    }
}

/// One page of a list.
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    pub(crate) next: Option<String>,
}

impl Page {
    /// Reads `{"sessions": [...], "next_cursor": ...}` and its like.
    pub(crate) fn of(json: &Value) -> Self {
        let fields = json.as_object().unwrap_or_else(|| panic!("no object: {json}"));
        let items = fields.values().find_map(Value::as_array).unwrap_or_else(|| panic!("no list in {json}"));
        Self { items: items.clone(), next: json["next_cursor"].as_str().map(str::to_owned) }
    }
}

/// A login page elsewhere, which knows who people are and asks the gateway for tokens.
pub(crate) struct LoginPage {
    api: ApiClient,
    site: String,
}

impl LoginPage {
    pub(crate) fn new(api: ApiClient, site: &str) -> Self {
        Self { api, site: site.to_owned() }
    }

    /// A token for `email`.
    pub(crate) async fn token_for(&self, email: &str) -> String {
        self.token(json!({ "email": email, "first_name": "Jane", "last_name": "Doe" })).await
    }

    /// A token out of these fields of `sso_tokens`.
    pub(crate) async fn token(&self, fields: Value) -> String {
        let issued = self.issue(fields).await;
        issued["token"].as_str().unwrap_or_else(|| panic!("no token in {issued}")).to_owned()
    }

    /// The whole answer to a request with these fields.
    pub(crate) async fn issue(&self, mut fields: Value) -> Value {
        fields["site"] = json!(self.site);
        let answer = self.api.post("/v1/sso_tokens", &fields).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }
}
