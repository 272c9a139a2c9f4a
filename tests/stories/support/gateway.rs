//! A whole gateway for one story: configured by TOML as in production, on ports of its own, with
//! a clock that only the story moves.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tollgate::app::{self, Ambient, ReloadError, Running};
use tollgate::config::{self, CertificateFiles, Environment, Settings};
use tollgate::domain::clock::{Clock, ManualClock, SystemClock, Timestamp};
use tollgate::domain::entropy::SystemEntropy;
use tollgate::store::Stores;

use super::api::{ApiClient, LoginPage};
use super::upstream::FakeUpstream;

/// Where visitors find the site of most stories.
pub(crate) const SITE: &str = "http://site.test";
/// Where its strangers are sent.
pub(crate) const LOGIN_URL: &str = "https://login.test/signin";
/// Where those who log out are sent.
pub(crate) const LOGOUT_URL: &str = "https://login.test/bye";
/// The key of a login page that may do everything.
pub(crate) const MASTER_KEY: &str = "master-key-of-the-stories-0123456789-abcdefghij";

/// Keys of a TOML table with their values as TOML, in order.
#[derive(Clone, Debug, Default)]
struct Table(Vec<(String, String)>);

impl Table {
    fn set(&mut self, key: &str, value: &str) {
        self.0.retain(|(own, _)| own != key);
        self.0.push((key.to_owned(), value.to_owned()));
    }

    fn write(&self, heading: &str, to: &mut String) {
        let _infallible = writeln!(to, "{heading}");
        for (key, value) in &self.0 {
            let _infallible = writeln!(to, "{key} = {value}");
        }
    }
}

/// One site of a [`Plan`].
#[derive(Clone, Debug)]
pub(crate) struct SitePlan {
    keys: Table,
    upstream_tls: Table,
    health: Table,
    cookie: Table,
    identity: Table,
    headers: Table,
    routes: Vec<Table>,
}

impl SitePlan {
    /// A closed site with an open corner: `/public/` is off, `/optional/` is optional.
    pub(crate) fn new(name: &str, host: &str, upstream: SocketAddr) -> Self {
        let mut keys = Table::default();
        keys.set("name", &format!("{name:?}"));
        keys.set("hosts", &format!("[{host:?}]"));
        keys.set("upstream", &format!("[\"http://{upstream}\"]"));
        keys.set("login_url", &format!("{LOGIN_URL:?}"));
        keys.set("logout_url", &format!("{LOGOUT_URL:?}"));
        let plan = Self {
            keys,
            upstream_tls: Table::default(),
            health: Table::default(),
            cookie: Table::default(),
            identity: Table::default(),
            headers: Table::default(),
            routes: Vec::new(),
        };
        plan.route("/public/", "off").route("/optional/", "optional")
    }

    /// Sets `key` to `value`, which is TOML.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.keys.set(key, value);
        self
    }

    /// Adds a route for all methods.
    pub(crate) fn route(self, path: &str, access: &str) -> Self {
        self.route_for(&[], path, access)
    }

    /// Adds a route for these methods.
    pub(crate) fn route_for(mut self, methods: &[&str], path: &str, access: &str) -> Self {
        let mut route = Table::default();
        route.set("path", &format!("{path:?}"));
        route.set("methods", &format!("{methods:?}"));
        route.set("access", &format!("{access:?}"));
        self.routes.push(route);
        self
    }

    /// Adds a route for this path that asks for `require`, written as the configuration has it.
    pub(crate) fn route_requiring(mut self, path: &str, require: &str) -> Self {
        let mut route = Table::default();
        route.set("path", &format!("{path:?}"));
        route.set("require", require);
        self.routes.push(route);
        self
    }

    /// Adds a route with these keys, written as the configuration has them.
    pub(crate) fn route_with(mut self, keys: &[(&str, String)]) -> Self {
        let mut route = Table::default();
        for (key, value) in keys {
            route.set(key, value);
        }
        self.routes.push(route);
        self
    }

    /// Sends requests to these instead, in the order of the list.
    pub(crate) fn upstreams(self, upstreams: &[String]) -> Self {
        self.with("upstream", &format!("{upstreams:?}"))
    }

    /// Sets a key of `[site.upstream_tls]`.
    pub(crate) fn upstream_tls(mut self, key: &str, value: &str) -> Self {
        self.upstream_tls.set(key, value);
        self
    }

    /// Sets a key of `[site.health]`.
    pub(crate) fn health(mut self, key: &str, value: &str) -> Self {
        self.health.set(key, value);
        self
    }

    /// Sets a key of `[site.cookie]`.
    pub(crate) fn cookie(mut self, key: &str, value: &str) -> Self {
        self.cookie.set(key, value);
        self
    }

    /// Sets a key of `[site.identity]`.
    pub(crate) fn identity(mut self, key: &str, value: &str) -> Self {
        self.identity.set(key, value);
        self
    }

    /// Adds a line to `[site.identity.headers]`.
    pub(crate) fn identity_header(mut self, name: &str, template: &str) -> Self {
        self.headers.set(&format!("{name:?}"), &format!("{template:?}"));
        self
    }

    fn write(&self, to: &mut String) {
        self.keys.write("[[site]]", to);
        for (table, heading) in [(&self.upstream_tls, "[site.upstream_tls]"), (&self.health, "[site.health]")]
        {
            if !table.0.is_empty() {
                table.write(heading, to);
            }
        }
        self.cookie.write("[site.cookie]", to);
        for route in &self.routes {
            route.write("[[site.route]]", to);
        }
        self.identity.write("[site.identity]", to);
        self.headers.write("[site.identity.headers]", to);
    }
}

/// The configuration of a [`TestGateway`].
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    start: Timestamp,
    server: Table,
    control: Table,
    store: Table,
    /// Another gateway's, for two that share one time.
    clock: Option<Arc<ManualClock>>,
    certificates: Vec<CertificateFiles>,
    keys: Vec<String>,
    sites: Vec<SitePlan>,
    /// Tables as they are written.
    others: String,
}

impl Plan {
    /// The site `intranet` at [`SITE`] before `upstream`, and one API key.
    pub(crate) fn new(upstream: &FakeUpstream) -> Self {
        Self::of(SitePlan::new("intranet", "site.test", upstream.address()))
    }

    /// A gateway for `site`, with one API key.
    pub(crate) fn of(site: SitePlan) -> Self {
        let mut server = Table::default();
        server.set("http", "[\"127.0.0.1:0\"]");
        server.set("workers", "1");
        // 2025-11-22, some time in the morning: late enough that nothing is before the epoch.
        let start = Timestamp::from_millis(1_763_800_000_000);
        let mut control = Table::default();
        control.set("listen", "\"127.0.0.1:0\"");
        // Most stories end with their gateway.
        let mut store = Table::default();
        store.set("kind", "\"memory\"");
        let (certificates, keys) = (Vec::new(), Vec::new());
        let sites = vec![site];
        let plan = Self {
            start,
            server,
            control,
            store,
            clock: None,
            certificates,
            keys,
            sites,
            others: String::new(),
        };
        plan.key(&format!(
            "name = \"master\"\nsecret = {MASTER_KEY:?}\nscopes = [\"admin\"]\npermission = \"super\""
        ))
    }

    /// Lets the clock start at the real time, for clients that read their own.
    pub(crate) fn starting_now(mut self) -> Self {
        self.start = SystemClock.now();
        self
    }

    /// Sets a key of `[server]`.
    pub(crate) fn server(mut self, key: &str, value: &str) -> Self {
        self.server.set(key, value);
        self
    }

    /// Sets a key of `[control]`.
    pub(crate) fn control(mut self, key: &str, value: &str) -> Self {
        self.control.set(key, value);
        self
    }

    /// Has the control listener speak TLS, and show this certificate.
    pub(crate) fn control_certificate(self, files: &CertificateFiles) -> Self {
        let quoted = |path: &Path| format!("{:?}", path.to_str().expect("a name in UTF-8"));
        self.control("cert", &quoted(&files.cert)).control("key", &quoted(&files.key))
    }

    /// Sets a key of `[store]`.
    pub(crate) fn store(mut self, key: &str, value: &str) -> Self {
        self.store.set(key, value);
        self
    }

    /// Goes by the clock of `other`.
    pub(crate) fn beside(mut self, other: &TestGateway) -> Self {
        self.clock = Some(Arc::clone(&other.clock));
        self
    }

    /// Keeps what must not be lost in `folder`.
    pub(crate) fn embedded(mut self, folder: &Path) -> Self {
        self.store.set("kind", "\"embedded\"");
        self.store.set("path", &format!("\"{}\"", folder.display()));
        self
    }

    /// Listens for https as well, and shows this certificate.
    pub(crate) fn certificate(mut self, files: CertificateFiles) -> Self {
        self.certificates.push(files);
        self.server("https", "[\"127.0.0.1:0\"]")
    }

    /// Adds an `[[api_key]]` with these lines.
    pub(crate) fn key(mut self, lines: &str) -> Self {
        self.keys.push(lines.to_owned());
        self
    }

    /// Adds tables as they are written.
    pub(crate) fn tables(mut self, toml: &str) -> Self {
        self.others.push_str(toml);
        self.others.push('\n');
        self
    }

    /// Changes the first site.
    pub(crate) fn site(mut self, change: impl FnOnce(SitePlan) -> SitePlan) -> Self {
        let site = self.sites.remove(0);
        self.sites.insert(0, change(site));
        self
    }

    /// Adds a site.
    pub(crate) fn and_site(mut self, site: SitePlan) -> Self {
        self.sites.push(site);
        self
    }

    /// Takes the sites away, so that others can be added.
    pub(crate) fn without_sites(mut self) -> Self {
        self.sites.clear();
        self
    }

    /// Takes the API keys away.
    pub(crate) fn without_keys(mut self) -> Self {
        self.keys.clear();
        self
    }

    /// The plan as `config.toml` has it.
    pub(crate) fn to_toml(&self) -> String {
        let mut toml = String::new();
        self.server.write("[server]", &mut toml);
        for CertificateFiles { cert, key } in &self.certificates {
            let (cert, key) = (cert.display(), key.display());
            let _infallible = writeln!(toml, "[[server.certificate]]\ncert = \"{cert}\"\nkey = \"{key}\"");
        }
        self.control.write("[control]", &mut toml);
        self.store.write("[store]", &mut toml);
        for key in &self.keys {
            let _infallible = writeln!(toml, "[[api_key]]\n{key}");
        }
        for site in &self.sites {
            site.write(&mut toml);
        }
        toml.push_str(&self.others);
        toml
    }

    /// Starts the gateway.
    pub(crate) async fn start(self) -> TestGateway {
        self.start_around(|stores| stores).await
    }

    /// The same with something of the story's own around the stores.
    pub(crate) async fn start_around(mut self, wrap: impl FnOnce(Stores) -> Stores) -> TestGateway {
        let settings = self.settings();
        let start = self.start;
        let clock = self.clock.get_or_insert_with(|| Arc::new(ManualClock::starting_at(start)));
        let clock = Arc::clone(clock) as _;
        let stores = Stores::open(&settings.store, &settings.sites, clock).expect("opens");
        self.start_over(wrap(stores)).await
    }

    fn settings(&self) -> Settings {
        let toml = self.to_toml();
        config::load(&toml, "story.toml", &Environment::empty())
            .unwrap_or_else(|faults| panic!("{faults}\nin\n{toml}"))
    }

    /// The same over stores of the story's own.
    pub(crate) async fn start_over(self, stores: Stores) -> TestGateway {
        let settings = self.settings();
        let clock = self.clock.unwrap_or_else(|| Arc::new(ManualClock::starting_at(self.start)));
        let ambient = Ambient { clock: Arc::clone(&clock) as _, entropy: Arc::new(SystemEntropy) };
        let running = app::start_with(settings, ambient, stores).await.expect("starts");
        let http = *running.http.first().expect("has a public listener");
        let https = running.https.first().copied();
        TestGateway { http, https, control: running.control, clock, running }
    }
}

/// A running gateway.
pub(crate) struct TestGateway {
    /// The public listener.
    pub(crate) http: SocketAddr,
    /// The public listener for https.
    https: Option<SocketAddr>,
    /// The control listener.
    pub(crate) control: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    running: Running,
}

impl TestGateway {
    /// A gateway with one closed site before `upstream`.
    pub(crate) async fn before(upstream: &FakeUpstream) -> Self {
        Plan::new(upstream).start().await
    }

    /// The public listener for https.
    pub(crate) fn https(&self) -> SocketAddr {
        self.https.expect("listens for https")
    }

    /// Opens the log files anew, as SIGHUP does.
    pub(crate) fn reopen_logs(&self) {
        self.running.reopen_logs();
    }

    /// Has the certificates read again, as SIGHUP does.
    pub(crate) fn reload_certificates(&self) {
        self.running.reload_certificates();
    }

    /// Goes on with `plan`.
    pub(crate) async fn reload(&mut self, plan: &Plan) -> Result<(), ReloadError> {
        self.running.reload(plan.settings()).await?;
        self.http = *self.running.http.first().expect("has a public listener");
        self.https = self.running.https.first().copied();
        Ok(())
    }

    /// Tells operators that other settings were refused, as whoever reads the file does.
    pub(crate) fn note_refused(&self, why: &str) {
        self.running.note_refused([why]);
    }

    /// Every public listener for plain http.
    pub(crate) fn all_http(&self) -> &[SocketAddr] {
        &self.running.http
    }

    /// Moves the gateway's clock and the visitors'.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// A client of the control API with all rights.
    pub(crate) fn api(&self) -> ApiClient {
        ApiClient::new(self.control, Some(MASTER_KEY))
    }

    /// The login page of the site `intranet`.
    pub(crate) fn login_page(&self) -> LoginPage {
        LoginPage::new(self.api(), "intranet")
    }

    /// Drains and stops.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}
