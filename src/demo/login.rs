//! The demo's login page: what an owner writes in a language of choice, here in Rust.
//!
//! It is sent a visitor with `return_url` and `state`, finds out who that is (a demo takes
//! anyone's word for it), asks the control API for a token, and sends the browser back with the
//! token added to the return URL.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::answer::{self, Answer};
use super::listen;
use super::token_api::{self, IssueError, TokenRequest};
use crate::domain::host::{HostPattern, Origin};
use crate::domain::return_to::ReturnTo;
use crate::domain::secret::Secret;
use crate::domain::site::SiteName;

/// What a login page has to know: where the API is, its key, and where visitors come from.
#[derive(Debug)]
pub struct LoginPage {
    /// The control API.
    pub control: SocketAddr,
    /// The key with which the control API is asked.
    pub key: Secret,
    /// The gateway, as browsers reach it. Nobody is sent anywhere else with a token.
    pub gateway: Origin,
    /// The other hosts under which browsers reach it.
    pub hosts: Vec<HostPattern>,
    /// The site to which tokens are to open.
    pub site: SiteName,
}

const MAX_FORM: usize = 64 * 1024;

impl LoginPage {
    /// Serves the page on `listener` until `shutdown`.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let page = Arc::new(self);
        let respond = move |request| {
            let page = Arc::clone(&page);
            async move { page.respond(request).await }
        };
        listen::serve(listener, shutdown, respond).await
    }

    async fn respond(&self, request: Request<Incoming>) -> Answer {
        match (request.uri().path(), request.method()) {
            ("/", &Method::GET | &Method::HEAD) => answer::see_other("/login"),
            ("/login", &Method::GET | &Method::HEAD) => {
                let form = Form::asked_for(request.uri().query().unwrap_or_default());
                self.show(StatusCode::OK, &form, None)
            }
            ("/login", &Method::POST) => self.sign_in(request.into_body()).await,
            ("/login", _) => answer::method_not_allowed("GET, HEAD, POST"),
            ("/", _) => answer::method_not_allowed("GET, HEAD"),
            _ => self.show(
                StatusCode::NOT_FOUND,
                &Form::blank(),
                Some("There is nothing else here than this form."),
            ),
        }
    }

    async fn sign_in(&self, body: Incoming) -> Answer {
        let Ok(body) = Limited::new(body, MAX_FORM).collect().await else {
            let too_much = Some("That form could not be read: it was too large, or it broke off.");
            return self.show(StatusCode::BAD_REQUEST, &Form::blank(), too_much);
        };
        let form = Form::sent(&body.to_bytes());
        let return_url = self.proven(&form.return_url);
        let wanted = TokenRequest {
            email: &form.email,
            first_name: &form.first_name,
            last_name: &form.last_name,
            site: self.site.as_str(),
            return_url: &return_url,
            state: form.state.as_deref(),
        };
        match token_api::issue(self.control, &self.key, &wanted).await {
            Ok(token) => answer::see_other(&with_parameter(&return_url, "sso", &token.expose())),
            Err(error) => self.show(status_of(&error), &form, Some(&error.to_string())),
        }
    }

    /// Where the visitor came from, as an absolute URL, if that is at the gateway; else the
    /// gateway's front page. A login page that sent tokens wherever it is told to would hand them
    /// to whoever makes up a link.
    fn proven(&self, return_url: &str) -> String {
        ReturnTo::parse(return_url, &self.gateway, &self.hosts).absolute(&self.gateway)
    }

    fn show(&self, status: StatusCode, form: &Form, trouble: Option<&str>) -> Answer {
        let sheet = LoginSheet {
            style: include_str!("../../templates/demo/login.css"),
            site: self.site.as_str(),
            form,
            trouble,
        };
        sheet.render().map_or_else(
            |_| answer::html(StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made.".into()),
            |html| answer::html(status, html),
        )
    }
}

fn status_of(error: &IssueError) -> StatusCode {
    match error {
        IssueError::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        IssueError::Key
        | IssueError::Unreachable(_)
        | IssueError::BrokenOff(_)
        | IssueError::TooSlow
        | IssueError::Refused { .. }
        | IssueError::Unreadable => StatusCode::BAD_GATEWAY,
    }
}

/// `url` with one more parameter: behind the query that it has, and before its fragment. `value`
/// has nothing in it that would need an escape.
fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let (page, fragment) = url.find('#').map_or((url, ""), |start| url.split_at(start));
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}{name}={value}{fragment}")
}

#[derive(Template)]
#[template(path = "demo/login.html")]
struct LoginSheet<'a> {
    style: &'static str,
    site: &'a str,
    form: &'a Form,
    trouble: Option<&'a str>,
}

/// What the form carries, from the gateway's redirect to the visitor's answer.
struct Form {
    return_url: String,
    state: Option<String>,
    /// The gateway sent the visitor back because a token did not work.
    token_failed: bool,
    email: String,
    first_name: String,
    last_name: String,
}

impl Form {
    fn blank() -> Self {
        Self {
            return_url: String::new(),
            state: None,
            token_failed: false,
            email: ADA.email.to_owned(),
            first_name: ADA.first_name.to_owned(),
            last_name: ADA.last_name.to_owned(),
        }
    }

    /// As the gateway asks for it in the query.
    fn asked_for(query: &str) -> Self {
        let sent = Self::sent(query.as_bytes());
        Self {
            return_url: sent.return_url,
            state: sent.state,
            token_failed: sent.token_failed,
            ..Self::blank()
        }
    }

    /// As the visitor sent it.
    fn sent(urlencoded: &[u8]) -> Self {
        let field = |name: &str| {
            let mut pairs = form_urlencoded::parse(urlencoded);
            pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        };
        Self {
            return_url: field("return_url").unwrap_or_default(),
            state: field("state"),
            token_failed: field("error").as_deref() == Some("token_invalid"),
            email: field("email").unwrap_or_default(),
            first_name: field("first_name").unwrap_or_default(),
            last_name: field("last_name").unwrap_or_default(),
        }
    }
}

/// Somebody to be for the length of a demo.
struct Person {
    email: &'static str,
    first_name: &'static str,
    last_name: &'static str,
}

/// Who stands in the form already.
const ADA: Person = Person { email: "ada@example.com", first_name: "Ada", last_name: "Lovelace" };

/// Who is one press away. One name is not ASCII, to show that such names arrive whole.
const OTHERS: [Person; 3] = [
    Person { email: "alan@example.com", first_name: "Alan", last_name: "Turing" },
    Person { email: "emilie@example.com", first_name: "Émilie", last_name: "du Châtelet" },
    Person { email: "grace@example.com", first_name: "Grace", last_name: "Hopper" },
];

#[cfg(test)]
mod tests;
