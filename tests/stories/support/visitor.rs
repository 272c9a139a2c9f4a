//! A browser, as far as HTTP goes: cookies, the header fields that tell a navigation from a
//! script's request, and redirects that are followed only when the story says so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tollgate::domain::clock::{Clock, ManualClock};

use super::api::LoginPage;
use super::gateway::{SITE, TestGateway};
use super::jar::{Cookie, Jar};
use super::wire::{Connection, Headers, Response};

/// A request that a visitor is about to make.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    /// `scheme://host[:port]` and the target behind it, byte for byte.
    pub(crate) url: String,
    pub(crate) headers: Headers,
    pub(crate) body: Option<Vec<u8>>,
}

impl Ask {
    /// A request without any header of its own.
    pub(crate) fn bare(method: &str, url: &str) -> Self {
        Self { method: method.to_owned(), url: url.to_owned(), headers: Headers::default(), body: None }
    }

    /// What a browser sends when a link is followed or an address is typed.
    pub(crate) fn navigate(method: &str, url: &str) -> Self {
        Self::bare(method, url)
            .with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Stories/1.0")
            .with("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
            .with("Accept-Language", "en-GB,en;q=0.7")
            .with("Upgrade-Insecure-Requests", "1")
            .with("Sec-Fetch-Site", "none")
            .with("Sec-Fetch-Mode", "navigate")
            .with("Sec-Fetch-User", "?1")
            .with("Sec-Fetch-Dest", "document")
    }

    /// What a script's `fetch` sends.
    pub(crate) fn script(method: &str, url: &str) -> Self {
        Self::bare(method, url)
            .with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Stories/1.0")
            .with("Accept", "*/*")
            .with("Sec-Fetch-Site", "same-origin")
            .with("Sec-Fetch-Mode", "cors")
            .with("Sec-Fetch-Dest", "empty")
    }

    /// Sets a header, in place of those of the same name.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// Adds a header beside those of the same name.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.0.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// Takes a header away.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.0.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    /// Gives it a body, framed by `Content-Length`.
    pub(crate) fn body(mut self, content_type: &str, body: &str) -> Self {
        self.body = Some(body.as_bytes().to_vec());
        self.with("Content-Type", content_type)
    }

    /// Gives it a form as its body.
    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body("application/x-www-form-urlencoded", &body)
    }

    /// Scheme, authority and target of the URL, as they are written.
    fn split(&self) -> (&str, &str, &str) {
        let (scheme, rest) =
            self.url.split_once("://").unwrap_or_else(|| panic!("{:?} is absolute", self.url));
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        let target = target.split('#').next().unwrap_or_default();
        (scheme, authority, if target.is_empty() { "/" } else { target })
    }
}

/// One browser. Every host name leads to the gateway; a URL with `https` goes there by way of a
/// proxy that ends TLS, which the gateway has to be told to trust.
pub(crate) struct Visitor {
    gateway: SocketAddr,
    from: IpAddr,
    clock: Arc<ManualClock>,
    connection: Option<Connection>,
    pub(crate) jar: Jar,
}

impl Visitor {
    /// A stranger at the door of `gateway`.
    pub(crate) fn at(gateway: &TestGateway) -> Self {
        Self::of(gateway.http, Arc::clone(&gateway.clock))
    }

    /// A stranger at the public listener at `address`.
    pub(crate) fn of(address: SocketAddr, clock: Arc<ManualClock>) -> Self {
        let from = Ipv4Addr::LOCALHOST.into();
        Self { gateway: address, from, clock, connection: None, jar: Jar::default() }
    }

    /// Another tab of this browser, or the browser after a break: with the cookies of now.
    pub(crate) fn tab(&self) -> Self {
        let (clock, jar) = (Arc::clone(&self.clock), self.jar.clone());
        Self { gateway: self.gateway, from: self.from, clock, connection: None, jar }
    }

    /// The same visitor at another address: 127.0.`third`.`fourth`.
    pub(crate) fn at_address(mut self, third: u8, fourth: u8) -> Self {
        self.from = Ipv4Addr::new(127, 0, third, fourth).into();
        self.connection = None;
        self
    }

    /// Follows a link to `url`, but no redirect.
    pub(crate) async fn get(&mut self, url: &str) -> Response {
        self.send(Ask::navigate("GET", url)).await
    }

    /// Asks for `url` as a script would.
    pub(crate) async fn fetch(&mut self, url: &str) -> Response {
        self.send(Ask::script("GET", url)).await
    }

    /// Makes the request, with the cookies that belong to it, and keeps those that come back.
    pub(crate) async fn send(&mut self, ask: Ask) -> Response {
        let (scheme, authority, target) = ask.split();
        let (https, host) = (scheme == "https", host_of(authority));
        let mut head = format!("{} {target} HTTP/1.1\r\nHost: {authority}\r\n", ask.method).into_bytes();
        let mut field = |name: &str, value: &[u8]| {
            head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        };
        for (name, value) in &ask.headers.0 {
            field(name, value);
        }
        if https {
            field("X-Forwarded-Proto", b"https");
        }
        if let Some(cookies) = self.jar.for_request(host, target, https, self.clock.now()) {
            field("Cookie", cookies.as_bytes());
        }
        if let Some(body) = &ask.body {
            field("Content-Length", body.len().to_string().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(ask.body.as_deref().unwrap_or_default());
        let answer = self.exchange(&head, &ask.method).await;
        for cookie in answer.headers.all("set-cookie") {
            self.jar.store(&cookie, host, https, self.clock.now());
        }
        answer
    }

    /// Sends `bytes` on a connection of its own and reads the answer. `None` if the gateway only
    /// hangs up.
    pub(crate) async fn send_raw(&self, bytes: &[u8]) -> Option<Response> {
        let mut connection = Connection::open(self.from, self.gateway).await;
        let method = String::from_utf8_lossy(bytes.split(|byte| *byte == b' ').next().unwrap_or_default());
        connection.exchange(bytes, &method).await
    }

    /// A bare connection to the gateway.
    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.from, self.gateway).await
    }

    async fn exchange(&mut self, request: &[u8], method: &str) -> Response {
        // As browsers do: a kept connection that turns out to be dead is replaced, once.
        let kept = match self.connection.take() {
            Some(mut connection) => {
                connection.exchange(request, method).await.map(|answer| (connection, answer))
            }
            None => None,
        };
        let (connection, answer) = if let Some(kept) = kept {
            kept
        } else {
            let mut connection = self.connect().await;
            let answer = connection.exchange(request, method).await;
            (connection, answer.expect("the gateway answers"))
        };
        self.connection = (!answer.closes).then_some(connection);
        answer
    }

    /// Follows `url` and every redirect that leads to `http` hosts under `.test` behind the
    /// gateway. The last URL comes back with its answer.
    pub(crate) async fn follow(&mut self, url: &str) -> (String, Response) {
        let mut url = url::Url::parse(url).expect("a URL");
        for _ in 0..10 {
            let answer = self.get(url.as_str()).await;
            let next = answer.header("location").map(|location| url.join(&location).expect("a Location"));
            match next {
                Some(next) if next.host() == url.host() => url = next,
                _ => return (url.into(), answer),
            }
        }
        panic!("a loop of redirects that comes to {url}");
    }

    /// The cookie `name` of the site of most stories.
    pub(crate) fn cookie(&self, name: &str) -> Option<Cookie> {
        self.jar.cookie("site.test", name)
    }

    /// The value of the session cookie at the site of most stories.
    pub(crate) fn session_cookie(&self) -> Option<String> {
        self.cookie("tollgate").map(|cookie| cookie.value)
    }

    /// Comes back from the login page as the owner of `email`.
    pub(crate) async fn sign_in(&mut self, login_page: &LoginPage, email: &str) {
        let token = login_page.token_for(email).await;
        let answer = self.get(&format!("{SITE}/?sso={token}")).await;
        assert_eq!((answer.status, answer.location().as_str()), (302, "/"), "{answer:?}");
        assert!(self.session_cookie().is_some(), "{answer:?}");
    }
}

fn host_of(authority: &str) -> &str {
    authority.split(':').next().unwrap_or_default()
}
