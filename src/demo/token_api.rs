//! The one call that a login page makes: a token for a visitor whom it has recognized.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use crate::domain::opaque::LoginToken;
use crate::domain::secret::Secret;

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 64 * 1024;

/// Who is to be let in, where, and in which browser.
#[derive(Debug, Serialize)]
pub(super) struct TokenRequest<'a> {
    pub(super) email: &'a str,
    pub(super) first_name: &'a str,
    pub(super) last_name: &'a str,
    pub(super) site: &'a str,
    pub(super) return_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<&'a str>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error("The API key has characters that no header can carry.")]
    Key,
    #[error("The control API cannot be reached: {0}.")]
    Unreachable(#[from] io::Error),
    #[error("The control API broke the conversation off: {0}.")]
    BrokenOff(#[from] hyper::Error),
    #[error("The control API did not answer in time.")]
    TooSlow,
    #[error("The control API said no ({status}): {message}")]
    Refused { status: StatusCode, message: String },
    #[error("The control API answered with something other than a token.")]
    Unreadable,
}

/// Asks the control API at `control` for a token.
pub(super) async fn issue(
    control: SocketAddr,
    key: &Secret,
    wanted: &TokenRequest<'_>,
) -> Result<LoginToken, IssueError> {
    let call = call(control, key, wanted);
    tokio::time::timeout(TIMEOUT, call).await.map_err(|_| IssueError::TooSlow)?
}

async fn call(
    control: SocketAddr,
    key: &Secret,
    wanted: &TokenRequest<'_>,
) -> Result<LoginToken, IssueError> {
    let request = request(control, key, wanted)?;
    let stream = TcpStream::connect(control).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its failures come out of the call below as well; it ends when the sender is dropped.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| IssueError::Unreadable)?;
    read(head.status, &body.to_bytes())
}

fn request(
    control: SocketAddr,
    key: &Secret,
    wanted: &TokenRequest<'_>,
) -> Result<Request<Full<Bytes>>, IssueError> {
    let json = serde_json::to_vec(wanted).map_err(|_| IssueError::Unreadable)?;
    let header = |text: String| HeaderValue::from_str(&text).map_err(|_| IssueError::Key);
    let mut bearer = header(format!("Bearer {}", key.expose()))?;
    bearer.set_sensitive(true);
    let mut request = Request::new(Full::from(json));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static("/v1/sso_tokens");
    let headers = request.headers_mut();
    headers.insert(HOST, header(control.to_string())?);
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(request)
}

fn read(status: StatusCode, body: &[u8]) -> Result<LoginToken, IssueError> {
    #[derive(Deserialize)]
    struct Issued {
        token: String,
    }
    #[derive(Deserialize)]
    struct Refusal {
        error: Fault,
    }
    #[derive(Deserialize)]
    struct Fault {
        message: String,
    }
    if status == StatusCode::CREATED {
        let issued: Option<Issued> = serde_json::from_slice(body).ok();
        let token = issued.and_then(|issued| LoginToken::parse(issued.token.as_bytes()));
        return token.ok_or(IssueError::Unreadable);
    }
    let refusal: Refusal = serde_json::from_slice(body).map_err(|_| IssueError::Unreadable)?;
    Err(IssueError::Refused { status, message: refusal.error.message })
}
