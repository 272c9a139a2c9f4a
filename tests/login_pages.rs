//! The login pages of `docs/login-pages`, which the README shows: each is started as its reader
//! would start it, beside a gateway on real sockets, and a visitor walks through it.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::convert::Infallible;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderName, LOCATION, SET_COOKIE};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tollgate::app::{self, Ambient, Running};
use tollgate::config::{self, Environment};
use url::Url;

/// What the page that signs its tokens shares with the site.
const SIGNING_KEY: &str = "signing-key-of-the-login-pages-0123456789";

const KEY: &str = "key-of-the-login-pages-0123456789";

/// What people are called who find out whether a page escapes what it should.
const NAME: &str = r#"Zoë "Z" O'Neill \ <b>"#;

/// How long an interpreter may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_python_page_lets_a_visitor_in() {
    walk("login.py", |file, _| {
        let mut python = Command::new("python3");
        python.arg(file);
        python
    })
    .await;
}

#[tokio::test]
async fn the_node_page_lets_a_visitor_in() {
    walk("login.mjs", |file, _| {
        let mut node = Command::new("node");
        node.arg(file);
        node
    })
    .await;
}

#[tokio::test]
async fn the_php_page_lets_a_visitor_in() {
    walk("login.php", |file, address| {
        let mut php = Command::new("php");
        php.arg("-S").arg(address.to_string()).arg(file);
        php
    })
    .await;
}

#[tokio::test]
async fn the_shell_script_prints_a_url_that_lets_a_visitor_in() {
    let stage = Stage::set().await;
    let mut visitor = Visitor::default();
    let login_url = visitor.get(&stage.url("/article?page=2")).await.location();
    let told = ["return_url", "state"].map(|name| parameter(&login_url, name));

    let run = |email: &str, told: &[String]| {
        let mut script = stage.command("sh");
        script.arg(page_file("login.sh")).args([email, "Zoë \"Z\"", "O'Neill \\ <b>"]).args(told);
        let output = tokio::task::spawn_blocking(move || script.output());
        async move { output.await.unwrap().expect("sh is there") }
    };
    assert!(
        stage.command("curl").arg("--version").output().is_ok(),
        "curl is missing: `tests/run` installs it"
    );
    let refused = run("nobody", &told).await;
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("parameter_invalid"), "{refused:?}");

    let output = run("zoe@example.com", &told).await;
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    visitor.comes_in_by(printed.trim_end(), &stage).await;

    // Whoever has no state to pass on gets a URL all the same; whoever lost it is told.
    assert!(run("zoe@example.com", &[]).await.status.success());
    let lost = run("zoe@example.com", &["/".to_owned(), String::new()]).await;
    assert!(String::from_utf8_lossy(&lost.stderr).contains(r#""field":"state""#), "{lost:?}");
}

#[tokio::test]
async fn the_page_that_signs_by_itself_lets_a_visitor_in() {
    let stage = Stage::set().await;
    let mut visitor = Visitor::default();
    let login_url = visitor.get(&stage.url("/article?page=2")).await.location();
    let site = stage.url("");
    let _page = Page::open(&stage, "signed.php", |file, address| {
        let mut php = Command::new("php");
        php.arg("-S").arg(address.to_string()).arg(file);
        php.env("LOGIN_PAGE_SIGNING_KEY", SIGNING_KEY).env("SITE_URL", site);
        php
    })
    .await;
    let shown = visitor.get(&format!("{login_url}&x=%22%3E%3Cscript%3E")).await;
    assert!(
        shown.body.contains("<form method=\"post\">") && !shown.body.contains("<script>"),
        "{}",
        shown.body
    );
    let form = [("email", "zoe@example.com"), ("name", NAME)];
    let sent_on = visitor.post(&login_url, &form).await;
    assert_eq!(sent_on.status, 303, "{}", sent_on.body);
    visitor.comes_in_by(&sent_on.location(), &stage).await;
}

#[tokio::test]
async fn the_page_behind_another_gate_believes_that_gate_alone() {
    let stage = Stage::set().await;
    let mut visitor = Visitor::default();
    let login_url = visitor.get(&stage.url("/article?page=2")).await.location();
    let _page = Page::open(&stage, "behind.php", |file, address| {
        let mut php = Command::new("php");
        php.arg("-S").arg(address.to_string()).arg(file);
        php
    })
    .await;
    let (is_zoe, named) =
        (("X-Forwarded-Email", "zoe@example.com"), ("X-Forwarded-Preferred-Username", NAME));
    let forged = ("X_Forwarded_Email", "boss@example.com");
    let failed = format!("{login_url}&error=token_invalid");
    for (url, headers, status) in [
        (&login_url, &[][..], 403),
        (&login_url, &[forged], 400),
        (&login_url, &[is_zoe, forged], 400),
        // Who is sent back with an error is not sent on in circles.
        (&failed, &[is_zoe], 403),
        (&login_url, &[("X-Forwarded-Email", "nobody")], 500),
    ] {
        let answer = visitor.get_telling(url, headers).await;
        assert_eq!((answer.status, answer.location), (status, None), "{headers:?}: {}", answer.body);
        assert!(!answer.body.contains(KEY), "{}", answer.body);
    }
    let sent_on = visitor.get_telling(&login_url, &[is_zoe, named]).await;
    visitor.comes_in_by(&sent_on.location(), &stage).await;
}

#[test]
fn the_readme_shows_the_pages_as_they_are() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    for (language, name) in
        [("sh", "login.sh"), ("python", "login.py"), ("js", "login.mjs"), ("php", "login.php")]
    {
        let page = std::fs::read_to_string(page_file(name)).unwrap();
        assert!(readme.contains(&format!("```{language}\n{page}```\n")), "README.md shows another {name}");
    }
}

/// What every page has to do: a stranger at a closed page comes back to it as somebody.
async fn walk(name: &str, command: impl FnOnce(PathBuf, SocketAddr) -> Command) {
    let stage = Stage::set().await;
    let mut visitor = Visitor::default();
    let login_url = visitor.get(&stage.url("/article?page=2")).await.location();
    assert!(login_url.starts_with(&format!("http://{}/login?theme=dark&", stage.page)), "{login_url}");
    let _page = Page::open(&stage, name, command).await;

    // The form goes to the address at which it stands, so that nothing has to be written into it.
    let hostile = format!("{login_url}&x=%22%3E%3Cscript%3E");
    let shown = visitor.get(&hostile).await;
    assert_eq!(shown.status, 200);
    assert!(shown.content_type.starts_with("text/html"), "{}", shown.content_type);
    assert!(shown.body.contains("<form method=\"post\">"), "{}", shown.body);
    assert!(!shown.body.contains("<script>"), "{}", shown.body);

    // No token, no redirect; the page says so and goes on.
    let refused = visitor.post(&login_url, &[("email", "nobody"), ("name", NAME)]).await;
    assert_eq!((refused.status, refused.location), (500, None));
    assert!(!refused.body.contains(KEY), "{}", refused.body);

    let form = [("email", "zoe@example.com"), ("name", NAME)];
    let sent_on = visitor.post(&login_url, &form).await;
    assert_eq!(sent_on.status, 303, "{}", sent_on.body);
    visitor.comes_in_by(&sent_on.location(), &stage).await;

    // A return_url that leads elsewhere leads nowhere.
    let mut elsewhere = Url::parse(&login_url).unwrap();
    elsewhere.set_query(None);
    elsewhere.query_pairs_mut().extend_pairs([
        ("return_url", "https://evil.example/"),
        ("state", parameter(&login_url, "state").as_str()),
    ]);
    let redeem_url = visitor.post(elsewhere.as_str(), &form).await.location();
    assert_eq!(visitor.get(&redeem_url).await.location(), "/");
}

/// A closed site behind a gateway, and a place kept free for its login page.
struct Stage {
    gateway: Running,
    page: SocketAddr,
    /// Holds the page's port until the page listens there. Servers set `SO_REUSEADDR`, which lets
    /// them share a port with a socket that has it too and does not listen.
    _place: TcpSocket,
}

impl Stage {
    async fn set() -> Self {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let place = TcpSocket::new_v4().unwrap();
        place.set_reuseaddr(true).unwrap();
        place.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let page = place.local_addr().unwrap();
        let config = format!(
            r#"
            [server]
            http = ["127.0.0.1:0"]
            workers = 1
            [control]
            listen = "127.0.0.1:0"
            [store]
            kind = "memory"
            [[api_key]]
            name = "login-page"
            secret = "{KEY}"
            scopes = ["write:sso"]
            [[site]]
            name = "paper"
            hosts = ["127.0.0.1"]
            upstream = ["http://{}"]
            login_url = "http://{page}/login?theme=dark"
            # Only a page that passes the state on lets anybody in.
            require_state = true
            [[site.login_key]]
            algorithm = "HS256"
            secret = "{SIGNING_KEY}"
            "#,
            upstream.local_addr().unwrap()
        );
        tokio::spawn(tell_what_is_told(upstream));
        let settings = config::load(&config, "test.toml", &Environment::empty());
        let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
        let gateway = app::start(settings, Ambient::system()).await.unwrap();
        Self { gateway, page, _place: place }
    }

    /// A URL on the site.
    fn url(&self, target: &str) -> String {
        let gateway = self.gateway.http.first().expect("has a public listener");
        format!("http://{gateway}{target}")
    }

    /// `program` with what a login page finds in its environment.
    fn command(&self, program: &str) -> Command {
        self.equipped(Command::new(program))
    }

    fn equipped(&self, mut command: Command) -> Command {
        command
            .env("LOGIN_PAGE_KEY", KEY)
            .env("TOLLGATE_CONTROL", format!("http://{}", self.gateway.control))
            .env("PORT", self.page.port().to_string())
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null());
        command
    }
}

/// An upstream that answers every request with what it was told.
async fn tell_what_is_told(listener: TcpListener) {
    let answer = hyper::service::service_fn(async |request: Request<Incoming>| {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
        };
        let headers: String = request.headers().iter().map(line).collect();
        let told = format!("{} {}\n{headers}", request.method(), request.uri());
        Ok::<_, Infallible>(Response::new(told))
    });
    while let Ok((stream, _)) = listener.accept().await {
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(connection);
    }
}

/// A login page that is running. It is killed when it is dropped.
struct Page(Child);

impl Page {
    /// Starts the page and waits until it listens.
    async fn open(stage: &Stage, name: &str, command: impl FnOnce(PathBuf, SocketAddr) -> Command) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
        let mut command = stage.equipped(command(page_file(name), stage.page));
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let child = command.spawn().unwrap_or_else(|error| {
            let program = command.get_program().display();
            panic!("cannot start {program}, which `tests/run` installs: {error}")
        });
        let mut page = Self(child);
        let listens = async {
            while TcpStream::connect(stage.page).await.is_err() {
                if let Some(status) = page.0.try_wait().unwrap() {
                    panic!("{name} ended with {status}: {}", std::fs::read_to_string(&log).unwrap());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.expect("the page listens in time");
        page
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A browser with one cookie jar: everything here is one host.
#[derive(Default)]
struct Visitor(Vec<(String, String)>);

struct Answer {
    status: u16,
    location: Option<String>,
    content_type: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn location(&self) -> String {
        self.location.clone().unwrap_or_else(|| panic!("{} without a Location: {}", self.status, self.body))
    }
}

impl Visitor {
    async fn get(&mut self, url: &str) -> Answer {
        self.get_telling(url, &[]).await
    }

    /// The same with what another gate in front would say.
    async fn get_telling(&mut self, url: &str, told: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, url, String::new(), told).await
    }

    async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.ask(Method::POST, url, form, &[]).await
    }

    /// Comes back from a login page by `redeem_url`, and is at the article as Zoë.
    async fn comes_in_by(&mut self, redeem_url: &str, stage: &Stage) {
        assert!(redeem_url.starts_with(&stage.url("/.tollgate/redeem?sso=")), "{redeem_url}");
        // Whoever gets hold of the link has nothing of it: it carries the state of this browser.
        let thief = Self::default().get(redeem_url).await;
        assert_eq!(parameter(&thief.location(), "error"), "token_invalid");

        let back = self.get(redeem_url).await;
        assert_eq!(back.location(), "/article?page=2");
        let article = self.get(&stage.url("/article?page=2")).await;
        for told in [
            "GET /article?page=2\n",
            "\nx-forwarded-email: zoe@example.com\n",
            &format!("\nx-forwarded-name: {NAME}\n"),
            "\nx-forwarded-role: editor\n",
        ] {
            assert!(article.body.contains(told), "{told:?} in {:?}", article.body);
        }
    }

    async fn ask(&mut self, method: Method, url: &str, body: String, told: &[(&str, &str)]) -> Answer {
        let url = Url::parse(url).unwrap();
        let authority = url.authority();
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url[url::Position::BeforePath..url::Position::AfterQuery].parse().unwrap();
        let headers = request.headers_mut();
        headers.insert(HOST, authority.parse().unwrap());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let cookies: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for (name, value) in told {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        headers.insert(COOKIE, cookies.join("; ").parse().unwrap());

        let stream = TcpStream::connect(authority).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = |name| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        for cookie in head.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            self.0.push((name.to_owned(), value.to_owned()));
        }
        Answer {
            status: head.status.as_u16(),
            location: text(LOCATION),
            content_type: text(CONTENT_TYPE).unwrap_or_default(),
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

/// A query parameter that has to be there.
#[track_caller]
fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

fn page_file(name: &str) -> PathBuf {
    repository().join("docs/login-pages").join(name)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
