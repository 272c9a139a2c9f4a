//! `tollgate demo`: everything on one machine, with nothing to set up.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::say;
use super::serve::StopSignals;
use crate::app::{self, Ambient};
use crate::config::{
    self, ApiKey, Environment, Means, PermissionLevel, Proof, RemoteUrl, Scope, Settings, Site,
    StoreSettings, Upstream, UpstreamAddress, Upstreams,
};
use crate::demo::login::LoginPage;
use crate::demo::site;
use crate::domain::entropy::SystemEntropy;
use crate::domain::host::{Authority, Origin, Scheme};
use crate::domain::opaque::SessionKey;
use crate::domain::secret::Secret;

/// The repository's own configuration.
const CONFIG: &str = include_str!("../../config.toml");

/// The variable from which that configuration takes the login page's key.
const KEY_VARIABLE: &str = "LOGIN_PAGE_KEY";

/// What to do when a port is taken.
const HINT: &str = "try `tollgate demo --any-port`";

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Use any free ports instead of those in config.toml.
    #[arg(long)]
    any_port: bool,
}

impl Demo {
    pub(super) fn run(self, environment: Environment) -> anyhow::Result<ExitCode> {
        let key = match environment.lookup(KEY_VARIABLE) {
            Some(key) if !key.is_empty() => key.to_owned(),
            _ => SessionKey::mint(&SystemEntropy).expose(),
        };
        let environment = environment.with(KEY_VARIABLE, &key);
        let mut settings = config::load(CONFIG, "config.toml", &environment)?;
        // It leaves nothing behind, and finds nothing of the last one.
        settings.store = StoreSettings::Memory;
        let operator = Secret::new(SessionKey::mint(&SystemEntropy).expose());
        settings.api_keys.push(ApiKey {
            name: "operator".to_owned(),
            proofs: vec![Proof {
                means: Means::Bearer(operator.hash()),
                expires_at: None,
                is_previous: false,
            }],
            scopes: vec![Scope::Admin],
            permission: PermissionLevel::None,
            sites: None,
        });
        app::raise_limit_of_open_files();
        super::runtime()?.block_on(self.stage(settings, Secret::new(key), &operator))
    }

    async fn stage(
        &self,
        mut settings: Settings,
        key: Secret,
        operator: &Secret,
    ) -> anyhow::Result<ExitCode> {
        let configured = settings.sites.first().context("config.toml has no site")?;
        let mut demo_site = Site::clone(configured);
        let login_port = url::Url::parse(demo_site.login_url.as_str())?.port_or_known_default();
        let site_listener = self.listen(port_of(&demo_site.upstreams)?).await?;
        let login_listener = self.listen(login_port.unwrap_or_default()).await?;
        let (site_address, login_address) = (site_listener.local_addr()?, login_listener.local_addr()?);
        if self.any_port {
            let any = |address: &mut SocketAddr| address.set_port(0);
            settings.server.http.iter_mut().for_each(any);
            any(&mut settings.control.listen);
            demo_site.upstreams.all = vec![Upstream::plain("127.0.0.1", site_address.port())];
            demo_site.login_url = moved(&demo_site.login_url, login_address.port())?;
        }
        let login_page = url::Url::parse(demo_site.login_url.as_str())?.origin().ascii_serialization();
        let (site_name, hosts) = (demo_site.name.clone(), demo_site.hosts.clone());
        settings.sites = vec![Arc::new(demo_site)];
        let mut signals = StopSignals::new().context("cannot wait for signals")?;
        let running = app::start(settings, Ambient::system()).await.map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => anyhow!("{error} ({HINT})"),
            _ => error.into(),
        })?;
        let gateway = running.http.first().context("config.toml has no listener")?.to_string();
        let gateway = Authority::parse(&gateway).context("the listener has no address")?;
        let gateway = Origin::new(Scheme::Http, &gateway);

        let (stop, stopped) = watch::channel(false);
        let until_stop = || {
            let mut stopped = stopped.clone();
            async move { drop(stopped.wait_for(|stop| *stop).await) }
        };
        let serving_site = tokio::spawn(site::serve(site_listener, until_stop()));
        let page =
            LoginPage { control: running.control, key, gateway: gateway.clone(), hosts, site: site_name };
        let serving_login = tokio::spawn(page.serve(login_listener, until_stop()));

        say(format_args!("{}", invitation(&gateway, site_address, &login_page, running.control, operator)))?;
        signals.next().await;
        stop.send_replace(true);
        let ending = async {
            running.stop().await;
            serving_site.await??;
            serving_login.await??;
            Ok(ExitCode::SUCCESS)
        };
        tokio::select! {
            ended = ending => ended,
            () = signals.next() => Ok(ExitCode::FAILURE),
        }
    }

    async fn listen(&self, port: u16) -> anyhow::Result<TcpListener> {
        let port = if self.any_port { 0 } else { port };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        listener.with_context(|| format!("cannot listen on 127.0.0.1:{port} ({HINT})"))
    }
}

/// Where config.toml says that the demo's site listens.
fn port_of(upstreams: &Upstreams) -> anyhow::Result<u16> {
    match upstreams.all.first().map(|upstream| &upstream.address) {
        Some(UpstreamAddress::Tcp { port, .. }) => Ok(*port),
        _ => bail!("config.toml has no upstream with a port"),
    }
}

fn moved(page: &RemoteUrl, port: u16) -> anyhow::Result<RemoteUrl> {
    let mut url = url::Url::parse(page.as_str())?;
    url.set_port(Some(port)).ok().context("login_url cannot have a port")?;
    RemoteUrl::parse(url.as_str()).context("login_url is not valid")
}

fn invitation(
    gateway: &Origin,
    site: SocketAddr,
    login: &str,
    control: SocketAddr,
    operator: &Secret,
) -> String {
    format!(
        "tollgate demo: a closed site, its login page, and the gateway between them.\n\
         \n  gateway  {gateway}/\n  login    {login}/\n  site     http://{site}/\n  control  http://{control}/\n\
         \n\
         1. Open {gateway}/articles/tolls?page=2 in a browser: you are sent to the login page.\n\
         2. Sign in as anybody: you are back on the page, and it shows what the site was told of you.\n\
         3. Follow \"Log out\", and the page is closed again. {gateway}/public/ is open to all.\n\
         4. Open http://{control}/admin/ and sign in with {}\n\
         \n\
         Ctrl-C ends it; everything is forgotten then.",
        operator.expose()
    )
}
