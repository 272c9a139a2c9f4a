//! The site behind the demo's gateway: a newspaper with closed, open and administrators' pages,
//! each of which shows the request as it arrived here.
//!
//! The site knows nothing of sessions or tokens. That it reads who is there out of five headers is
//! the whole of its part.

use std::io;

use askama::Template;
use form_urlencoded::parse as parse_query;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpListener;

use super::answer::{self, Answer};
use super::listen;

/// Serves the site on `listener` until `shutdown`.
pub async fn serve(listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    listen::serve(listener, shutdown, respond).await
}

async fn respond(request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    if head.uri.path() == "/echo" {
        return echo(&head, body).await;
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return answer::method_not_allowed("GET, HEAD");
    }
    let page = SitePage::of(&head);
    let status = page.section.status();
    page.render().map_or_else(
        |_| answer::html(StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made.".into()),
        |html| answer::html(status, html),
    )
}

/// Tells a program what arrived, for a look with curl.
async fn echo(head: &Parts, mut body: Incoming) -> Answer {
    let mut body_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        body_bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
    }
    let received = Received::of(head);
    answer::json(
        StatusCode::OK,
        &json!({
            "method": received.method,
            "target": received.target,
            "headers": received.headers.iter().map(|field| [&field.name, &field.value]).collect::<Vec<_>>(),
            "body_bytes": body_bytes,
        }),
    )
}

#[derive(Template)]
#[template(path = "demo/site.html")]
struct SitePage {
    style: &'static str,
    section: Section,
    visitor: Visitor,
    received: Received,
}

impl SitePage {
    fn of(head: &Parts) -> Self {
        Self {
            style: include_str!("../../templates/demo/site.css"),
            section: Section::at(head.uri.path(), head.uri.query()),
            visitor: Visitor::told_by(&head.headers),
            received: Received::of(head),
        }
    }

    /// Where the gateway lets a visitor sign in and come back to this very page.
    fn sign_in_url(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("return_url", &self.received.target);
        format!("/.tollgate/login?{}", query.finish())
    }
}

enum Section {
    Front,
    Article { headline: String, query: Vec<(String, String)> },
    Members,
    Public,
    Admin,
    Missing,
}

impl Section {
    fn at(path: &str, query: Option<&str>) -> Self {
        let belongs_to = |folder: &str| {
            path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match path {
            "/" => Self::Front,
            _ if belongs_to("/public") => Self::Public,
            _ if belongs_to("/members") => Self::Members,
            _ if belongs_to("/admin") => Self::Admin,
            _ => path.strip_prefix("/articles/").map_or(Self::Missing, |slug| {
                let query = parse_query(query.unwrap_or_default().as_bytes());
                Self::Article { headline: headline(slug), query: query.into_owned().collect() }
            }),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Missing => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        }
    }

    fn title(&self) -> &str {
        match self {
            Self::Front => "Today’s front page",
            Self::Article { headline, .. } => headline,
            Self::Members => "Members’ room",
            Self::Public => "Open to everyone",
            Self::Admin => "The editors’ desk",
            Self::Missing => "No such page",
        }
    }
}

/// `/articles/on-the-price-of-roads` is headed “On the price of roads”.
fn headline(slug: &str) -> String {
    let words = percent_encoding::percent_decode_str(slug).decode_utf8_lossy().replace('-', " ");
    let mut letters = words.trim().chars();
    letters
        .next()
        .map_or_else(|| "All articles".to_owned(), |first| first.to_uppercase().chain(letters).collect())
}

/// Who the gateway says is there. Only the gateway can: it drops these headers when a client sends
/// them.
struct Visitor {
    name: Option<String>,
    email: Option<String>,
    role: Option<String>,
}

/// The headers of the gateway's default preset.
const IDENTITY: [&str; 5] =
    ["x-forwarded-user", "x-forwarded-email", "x-forwarded-name", "x-forwarded-role", "x-forwarded-groups"];

impl Visitor {
    fn told_by(headers: &HeaderMap) -> Self {
        let told = |name: &str| headers.get(name).map(text);
        Self {
            name: told("x-forwarded-name").or_else(|| told("x-forwarded-user")),
            email: told("x-forwarded-email"),
            role: told("x-forwarded-role"),
        }
    }
}

/// The request as it came in, field by field in the order of its arrival.
struct Received {
    method: String,
    target: String,
    headers: Vec<Field>,
}

struct Field {
    name: String,
    value: String,
}

impl Field {
    fn tells_who(&self) -> bool {
        IDENTITY.contains(&self.name.as_str())
    }
}

impl Received {
    fn of(head: &Parts) -> Self {
        let field = |(name, value): (&http::HeaderName, &HeaderValue)| Field {
            name: name.to_string(),
            value: text(value),
        };
        Self {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: head.headers.iter().map(field).collect(),
        }
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests;
