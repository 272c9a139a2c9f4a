//! Sites of several owners behind https, for a browser that believes any certificate: a closed one that
//! `https://partner.example` may frame, that partner, a stranger, and a login page. All of them are told
//! apart by their names alone, which the browser takes to one gateway.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tollgate::app::{self, Ambient, Running};
use tollgate::config::{self, Environment};
use tollgate::demo::login::LoginPage;
use tollgate::domain::host::Origin;
use tollgate::domain::secret::Secret;
use tollgate::domain::site::SiteName;

const KEY: &str = "key-of-the-login-page-0123456789-abcdefghij";

/// What reached one of the sites.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) host: String,
    pub(crate) cookies: String,
}

/// All of it, running. It ends when it is dropped.
pub(crate) struct Stage {
    https: u16,
    received: Arc<Mutex<Vec<Received>>>,
    _running: Running,
    _runtime: Runtime,
    _folder: TempDir,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let folder = TempDir::new().unwrap();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let sites = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = sites.local_addr().unwrap();
        std::thread::spawn({
            let received = Arc::clone(&received);
            move || sites.incoming().flatten().for_each(|stream| drop(answer(stream, &received)))
        });
        let runtime = Runtime::new().unwrap();
        let login = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let login_port = login.local_addr().unwrap().port();

        let names = ["site", "partner", "stranger", "login"].map(|name| format!("{name}.example"));
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names.to_vec()).unwrap().self_signed(&key).unwrap();
        std::fs::write(folder.path().join("all.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("all.key"), key.serialize_pem()).unwrap();
        let open = |name: &str, port: u16| {
            format!(
                "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\naccess = \"off\"\n\
                 upstream = [\"http://127.0.0.1:{port}\"]\nlogin_url = \"https://login.example/login\"\n"
            )
        };
        let toml = format!(
            "[server]\nhttp = []\nhttps = [\"127.0.0.1:0\"]\nworkers = 1\n\
             [[server.certificate]]\ncert = \"all.pem\"\nkey = \"all.key\"\n\
             [control]\nlisten = \"127.0.0.1:0\"\n[store]\nkind = \"memory\"\n\
             [[api_key]]\nname = \"login-page\"\nsecret = \"{KEY}\"\nscopes = [\"write:sso\"]\n\
             {}{}{}[[site]]\nname = \"site\"\nhosts = [\"site.example\"]\nupstream = [\"http://{upstream}\"]\n\
             public_url = \"https://site.example\"\nlogin_url = \"https://login.example/login\"\n\
             embed_origins = [\"https://partner.example\"]\n\
             [[site.route]]\npath = \"/public/\"\naccess = \"off\"\n",
            open("partner", upstream.port()),
            open("stranger", upstream.port()),
            open("login", login_port),
        );
        let file = folder.path().join("config.toml");
        let settings = config::load(&toml, file.to_str().unwrap(), &Environment::empty())
            .unwrap_or_else(|faults| panic!("{faults}"));
        let hosts = settings.sites.iter().find(|site| site.name.as_str() == "site").unwrap().hosts.clone();
        let running = runtime.block_on(app::start(settings, Ambient::system())).unwrap();
        let page = LoginPage {
            control: running.control,
            key: Secret::new(KEY.to_owned()),
            gateway: Origin::parse("https://site.example").unwrap(),
            hosts,
            site: SiteName::parse("site").unwrap(),
        };
        runtime.spawn(page.serve(login, std::future::pending()));
        let https = running.https[0].port();
        Self { https, received, _running: running, _runtime: runtime, _folder: folder }
    }

    /// How the browser finds all these names.
    pub(crate) fn resolver_rules(&self) -> String {
        format!("--host-resolver-rules=MAP *.example 127.0.0.1:{}", self.https)
    }

    /// What reached `host` so far.
    pub(crate) fn received(&self, host: &str) -> Vec<Received> {
        let all = self.received.lock().unwrap();
        all.iter().filter(|request| request.host == host).cloned().collect()
    }
}

/// Answers one request, whichever of the sites it is for.
fn answer(mut stream: TcpStream, received: &Mutex<Vec<Received>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let field = |name: &str| {
        let lines = lines.iter().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
            .join("; ")
    };
    let length = field("content-length").parse().unwrap_or_default();
    reader.take(length).read_to_end(&mut Vec::new())?;
    let host = field("host");
    let line = lines.first().map(|line| line.trim_end_matches(" HTTP/1.1").to_owned()).unwrap_or_default();
    let (email, chromeless) = (field("x-forwarded-email"), field("x-tollgate-chromeless"));
    received.lock().unwrap().push(Received { host: host.clone(), cookies: field("cookie") });
    let body = if host == "site.example" {
        format!(
            "<!doctype html><title>Article</title><h1>The article</h1><p id=line>{line}</p><p id=who>{email}</p><p id=plain>{chromeless}</p>"
        )
    } else {
        let target = line.split(' ').nth(1).unwrap_or_default().trim_start_matches("/frame/");
        format!(
            "<!doctype html><title>{host}</title><h1>{host}</h1><iframe width=800 height=700 src=\"https://site.example/{target}\"></iframe>"
        )
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Frame-Options: SAMEORIGIN\r\n\
         Set-Cookie: plain=1; Secure; SameSite=None; Path=/\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
