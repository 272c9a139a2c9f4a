//! Calls to the control API.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::http::body::read_up_to;

/// More than any answer has.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Where the control API is, and the key for it.
#[derive(Args)]
pub(super) struct Control {
    /// The control API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    control: String,
    /// The API key.
    #[arg(long, env = "TOLLGATE_KEY", hide_env_values = true, hide = true)]
    key: Option<String>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("control", &self.control).finish_non_exhaustive()
    }
}

impl Control {
    /// Calls the API and returns the document that it answers with.
    pub(super) fn call(&self, method: Method, target: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        super::runtime()?.block_on(self.exchange(method, target, body))
    }

    async fn exchange(&self, method: Method, target: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let key = self.key.as_deref().filter(|key| !key.is_empty());
        let key = key.context("set TOLLGATE_KEY to an API key of the gateway")?;
        let url = url::Url::parse(&self.control).context("--control is no URL")?;
        if url.scheme() != "http" {
            bail!("--control has to begin with http://: the control API is reached on its own machine");
        }
        let host = url.host_str().context("--control has no host")?;
        let port = url.port_or_known_default().unwrap_or(80);
        let bare_host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare_host, port))
            .await
            .with_context(|| format!("cannot reach the control API at {}", self.control))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);

        let mut request = Request::builder().method(method).uri(target);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut request =
            request.header(HOST, format!("{host}:{port}")).body(Full::new(Bytes::from(text)))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}")).context("TOLLGATE_KEY is no key")?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let answer = read_up_to(body, MAX_ANSWER).await.context("the answer cannot be read")?;
        let document: Value = serde_json::from_slice(&answer).context("the answer is not JSON")?;
        if head.status.is_success() {
            return Ok(document);
        }
        let told = |member: &str| {
            member_of(member_of(&document, "error"), member).as_str().unwrap_or_default().to_owned()
        };
        bail!("{} {}: {}", head.status.as_u16(), told("code"), told("message"))
    }

    /// All entries of a list, over all its pages.
    pub(super) fn list(
        &self,
        path: &str,
        member: &str,
        email: Option<&str>,
        site: Option<&str>,
    ) -> anyhow::Result<Vec<Value>> {
        let mut entries = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let parameters = [("email", email), ("site", site), ("cursor", cursor.as_deref())];
            let target = query(path, &parameters);
            let mut page = self.call(Method::GET, &target, None)?;
            if let Some(Value::Array(found)) = page.get_mut(member).map(Value::take) {
                entries.extend(found);
            }
            cursor = member_of(&page, "next_cursor").as_str().map(ToOwned::to_owned);
            if cursor.is_none() {
                return Ok(entries);
            }
        }
    }
}

/// `path` with those parameters that are there.
pub(super) fn query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A member of an object; null if it is absent.
pub(super) fn member_of<'a>(document: &'a Value, name: &str) -> &'a Value {
    document.get(name).unwrap_or(&Value::Null)
}

/// One line of a list: the named members, parted by tabs.
pub(super) fn line(entry: &Value, members: &[&str]) -> String {
    let shown = |member: &&str| match member_of(entry, member) {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    members.iter().map(shown).collect::<Vec<_>>().join("\t")
}
