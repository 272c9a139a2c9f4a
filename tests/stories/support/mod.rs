//! The cast of the stories: a gateway on real sockets with a clock that stands still, the
//! upstream behind it, the login page that talks to its control API, and visitors of all kinds.

pub(crate) mod api;
pub(crate) mod by_hand;
pub(crate) mod crowd;
pub(crate) mod gateway;
pub(crate) mod h2;
pub(crate) mod http2;
pub(crate) mod jar;
pub(crate) mod program;
pub(crate) mod secured;
pub(crate) mod tls;
pub(crate) mod upstream;
pub(crate) mod visitor;
pub(crate) mod wire;

use std::time::Duration;

pub(crate) use api::{ApiClient, LoginPage};
pub(crate) use by_hand::{ByHand, read_until, rest, serving};
pub(crate) use crowd::Crowd;
pub(crate) use gateway::{LOGIN_URL, LOGOUT_URL, MASTER_KEY, Plan, SITE, SitePlan, TestGateway};
pub(crate) use program::Program;
pub(crate) use tls::{Authority, Client};
pub(crate) use upstream::{Answer, FakeUpstream, Received};
pub(crate) use visitor::{Ask, Visitor};
pub(crate) use wire::{Connection, Response};

/// How long anything may take before a story gives up. No story claims to be quicker.
pub(crate) const HANG: Duration = Duration::from_mins(1);

/// Waits until nothing that was already on its way can still be unread.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// The interpreter with the libraries of `tests/requirements.txt`.
#[expect(clippy::disallowed_methods, reason = "tests/run says so which interpreter has them")]
pub(crate) fn python() -> String {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-venv/bin/python");
    std::env::var("TOLLGATE_TEST_PYTHON").unwrap_or_else(|_| own.to_owned())
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn minutes(n: u64) -> Duration {
    Duration::from_mins(n)
}

/// The query parameters of `url`, decoded, in order.
pub(crate) fn query_of(url: &str) -> Vec<(String, String)> {
    let url = url::Url::parse(url).unwrap_or_else(|fault| panic!("{url:?} is no URL: {fault}"));
    url.query_pairs().into_owned().collect()
}

/// The value of the query parameter `name` of `url`, which must be there exactly once.
pub(crate) fn parameter(url: &str, name: &str) -> String {
    let mut values: Vec<String> =
        query_of(url).into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect();
    assert_eq!(values.len(), 1, "one `{name}` in {url}");
    values.remove(0)
}

/// `text` percent-encoded so that it survives as the value of a query parameter.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Where a browser goes that meets `location` at `request_url`.
pub(crate) fn resolved(request_url: &str, location: &str) -> url::Url {
    let base = url::Url::parse(request_url).unwrap_or_else(|fault| panic!("{request_url:?}: {fault}"));
    base.join(location).unwrap_or_else(|fault| panic!("{location:?}: {fault}"))
}

/// The path and query of `location`, which lies on the site of most stories.
pub(crate) fn local(location: &str) -> &str {
    let target = location.strip_prefix(SITE).unwrap_or(location);
    assert!(target.starts_with('/') && !target.starts_with("//"), "{location:?} lies on the site");
    target
}

/// The targets of all links in `html`.
pub(crate) fn links_of(html: &str) -> Vec<String> {
    let links = html.split("<a ").skip(1).filter_map(|tag| tag.split('>').next());
    links.filter_map(|tag| attribute(tag, "href")).collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = format!(" {tag}");
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split('"').next().unwrap_or_default().replace("&#38;", "&").replace("&amp;", "&"))
}

/// The target and the fields of the one form in `html`, as a browser would send it.
pub(crate) fn form_of(html: &str) -> (String, Vec<(String, String)>) {
    let (_, form) = html.split_once("<form").unwrap_or_else(|| panic!("no form in {html}"));
    let (form, _) = form.split_once("</form>").expect("the form ends");
    let (start, inside) = form.split_once('>').expect("the form's tag ends");
    assert_eq!(attribute(start, "method").map(|m| m.to_lowercase()).as_deref(), Some("post"), "{html}");
    let fields = inside
        .split('<')
        .filter(|tag| tag.starts_with("input") || tag.starts_with("button"))
        .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
        .collect();
    (attribute(start, "action").unwrap_or_default(), fields)
}
