//! Calls to the control API. Without TLS they stay on this machine: the key goes along in the clear.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::{Usage, say};
use crate::config::{Authorities, Environment};
use crate::http::body::read_up_to;
use crate::proxy::trusting;

/// More than any answer has.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// For one call, from looking up the name to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The variable that holds the key. There is no flag for it: whoever is on the machine can read
/// the flags of running programs.
const KEY_VARIABLE: &str = "TOLLGATE_KEY";

// No documentation comment: it would stand in for the description of each command.
#[derive(Debug, Args)]
#[command(after_help = "The API key is read from the environment variable TOLLGATE_KEY.")]
pub(super) struct Control {
    /// The URL of the control API, which has to be on this machine unless it is https.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    control: String,
    /// The certificate authorities to trust for https, in PEM (default: the system's).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Control {
    /// A client for the API, with the key from the environment.
    pub(super) fn client(&self, environment: &Environment) -> anyhow::Result<Client> {
        let url = url::Url::parse(&self.control).map_err(|_| Usage("--control is not a valid URL"))?;
        let is_secure = match (url.scheme(), &self.ca) {
            ("https", _) => true,
            ("http", None) => false,
            ("http", Some(_)) => bail!(Usage("--ca is for a --control that begins with https://")),
            _ => bail!(Usage("--control has to begin with http:// or https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            bail!(Usage("--control cannot have a user name or a password: set TOLLGATE_KEY to an API key"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            bail!(Usage("--control is a host and perhaps a port, with nothing behind"));
        }
        let host = url.host_str().ok_or(Usage("--control has no host"))?.to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let key = environment.lookup(KEY_VARIABLE).filter(|key| !key.is_empty());
        let key = key.context("set TOLLGATE_KEY to an API key of the gateway")?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| anyhow!("TOLLGATE_KEY has characters that no API key has"))?;
        bearer.set_sensitive(true);
        let tls = if is_secure { Some(self.tls(&host)?) } else { None };
        Ok(Client { host, port, bearer, tls })
    }

    /// Who is to be there, and how that is seen.
    fn tls(&self, host: &str) -> anyhow::Result<(TlsConnector, ServerName<'static>)> {
        let authorities = |path: &PathBuf| {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            Authorities::of_pem(&pem).map_err(|problem| anyhow!("{} {problem}", path.display()))
        };
        let connector = trusting(self.ca.as_ref().map(authorities).transpose()?)?;
        let name = ServerName::try_from(bare(host).to_owned());
        Ok((connector, name.map_err(|_| Usage("--control has a host that no certificate can name"))?))
    }
}

/// What calls the API.
pub(super) struct Client {
    /// A name or an address, IPv6 in brackets.
    host: String,
    port: u16,
    bearer: HeaderValue,
    /// For https.
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Client {
    /// Calls the API and returns the document that it answers with.
    pub(super) fn call(&self, method: Method, target: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let runtime = super::runtime()?;
        let exchange = async { tokio::time::timeout(TIMEOUT, self.exchange(method, target, body)).await };
        let outcome = runtime.block_on(exchange);
        // A name server that does not answer would be waited for otherwise.
        runtime.shutdown_background();
        let late = || format!("{}:{} did not answer within {} s", self.host, self.port, TIMEOUT.as_secs());
        outcome.map_err(|_| anyhow!(late()))?
    }

    async fn exchange(&self, method: Method, target: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let authority = format!("{}:{}", self.host, self.port);
        let addresses = self.addresses().await?;
        let unreachable = || format!("cannot reach the control API at {authority}");
        let stream = TcpStream::connect(addresses.as_slice()).await.with_context(unreachable)?;
        let mut sender = match &self.tls {
            Some((connector, name)) => {
                converse(connector.connect(name.clone(), stream).await.with_context(unreachable)?).await?
            }
            None => converse(stream).await?,
        };

        let mut request = Request::builder().method(method).uri(target);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut request = request.header(HOST, authority).body(Full::new(Bytes::from(text)))?;
        request.headers_mut().insert(AUTHORIZATION, self.bearer.clone());
        let answer = sender.send_request(request).await.context("the call broke off")?;
        let (head, body) = answer.into_parts();
        let answer = read_up_to(body, MAX_ANSWER).await.context("the answer cannot be read")?;
        let document = serde_json::from_slice(&answer).ok().filter(Value::is_object).context(STRANGER)?;
        if head.status.is_success() {
            return Ok(document);
        }
        let told = |member: &str| {
            member_of(member_of(&document, "error"), member).as_str().unwrap_or_default().to_owned()
        };
        bail!("{} {}: {}", head.status.as_u16(), told("code"), told("message"))
    }

    /// Where to connect to: without TLS loopback, or the key could be read on the way.
    async fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let addresses = lookup_host((bare(&self.host), self.port)).await;
        let addresses: Vec<SocketAddr> =
            addresses.with_context(|| format!("cannot find the host {}", self.host))?.collect();
        if self.tls.is_some() || addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
            return Ok(addresses);
        }
        bail!(Usage(
            "--control is not on this machine, and the API key would travel in the clear: use https://, or a \
             tunnel, such as ssh -L 8081:127.0.0.1:8081"
        ))
    }

    /// Prints these members of all entries of the list called `name`, a line each.
    pub(super) fn print_list(
        &self,
        name: &str,
        email: Option<&str>,
        site: Option<&str>,
        members: &[&str],
    ) -> anyhow::Result<()> {
        for entry in self.list(name, email, site)? {
            say(format_args!("{}", line(&entry, members)))?;
        }
        Ok(())
    }

    /// All entries of the list called `name`, over all its pages.
    pub(super) fn list(
        &self,
        name: &str,
        email: Option<&str>,
        site: Option<&str>,
    ) -> anyhow::Result<Vec<Value>> {
        let path = format!("/v1/{name}");
        let mut entries = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let parameters = [("email", email), ("site", site), ("cursor", cursor.as_deref())];
            let target = query(&path, &parameters);
            let page = self.call(Method::GET, &target, None)?;
            let found = promised(&page, name, Value::is_array)?;
            entries.extend(found.as_array().into_iter().flatten().cloned());
            cursor = member_of(&page, "next_cursor").as_str().map(ToOwned::to_owned);
            if cursor.is_none() {
                return Ok(entries);
            }
        }
    }
}

/// Begins HTTP/1.1 on `stream`.
async fn converse<S>(stream: S) -> hyper::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A host without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// What is said of a server whose answers are not those of the API.
const STRANGER: &str = "this is not tollgate's control API";

/// A member that the API never leaves out, and never makes something else of.
pub(super) fn promised<'a>(
    document: &'a Value,
    name: &str,
    is_it: impl FnOnce(&Value) -> bool,
) -> anyhow::Result<&'a Value> {
    let member = member_of(document, name);
    if is_it(member) { Ok(member) } else { bail!("{STRANGER}: its answer lacks {name}") }
}

/// `path` with those parameters that are there.
pub(super) fn query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A member of an object; null if it is absent.
fn member_of<'a>(document: &'a Value, name: &str) -> &'a Value {
    document.get(name).unwrap_or(&Value::Null)
}

/// One line of a list: the named members, separated by tabs.
pub(super) fn line(entry: &Value, members: &[&str]) -> String {
    let shown = |member: &&str| match member_of(entry, member) {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    members.iter().map(shown).collect::<Vec<_>>().join("\t")
}
