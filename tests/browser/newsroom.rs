//! A gateway before a site with forms, and a login page on another host, for walks that need more than
//! the demo has. Both write down what they are sent.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::demo::artifact;

const PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = "key-of-the-newsroom-0123456789-abcdefghijklm";

/// A request as the site received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// All three of them. The gateway is killed when this is dropped.
pub(crate) struct Newsroom {
    gateway: Child,
    /// Where visitors find the site.
    pub(crate) origin: String,
    control: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    _folder: TempDir,
}

impl Newsroom {
    /// A site that answers each GET with the page in `pages` that has its path, and each POST with a
    /// word of thanks; `keys` are lines of its `[[site]]`.
    pub(crate) fn open(name: &str, keys: &str, pages: &'static [(&'static str, &'static str)]) -> Self {
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let log = Arc::clone(&received);
        let site = serve(move |request| {
            log.lock().unwrap().push(request.clone());
            let path = request.target.split('?').next().unwrap_or_default();
            let page =
                pages.iter().find(|(own, _)| *own == path).map_or("<h1>Nothing here</h1>", |(_, page)| page);
            let page = if request.method == "POST" { "<h1>Thank you</h1>" } else { page };
            ("200 OK".to_owned(), page.to_owned())
        });
        let control = Arc::<Mutex<Option<SocketAddr>>>::default();
        let known = Arc::clone(&control);
        let login = serve(move |request| login_page(request, known.lock().unwrap().unwrap()));
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("config.toml");
        let toml = format!(
            "[server]\nhttp = [\"127.0.0.1:0\"]\n[control]\nlisten = \"127.0.0.1:0\"\n[store]\nkind = \"memory\"\n\
             [[api_key]]\nname = \"login\"\nsecret = {KEY:?}\nscopes = [\"admin\"]\n\
             [[site]]\nname = \"news\"\nhosts = [\"127.0.0.1\"]\nupstream = [\"http://{site}\"]\n\
             login_url = \"http://localhost:{}/login\"\nrequire_state = true\n{keys}\n",
            login.port()
        );
        std::fs::write(&config, toml).unwrap();
        let mut gateway = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--config"])
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let listening = listening(&mut gateway, File::create(artifact(&format!("{name}.log"))).unwrap());
        let line = listening.recv_timeout(PATIENCE).expect("says where it listens");
        let address = |name: &str| -> SocketAddr {
            let found = line[name].as_str().or(line["fields"][name].as_str()).unwrap();
            found.split(' ').next().unwrap().parse().unwrap()
        };
        *control.lock().unwrap() = Some(address("control"));
        let origin = format!("http://{}", address("http"));
        Self { gateway, origin, control: address("control"), received, _folder: folder }
    }

    /// Ends every session of this person.
    pub(crate) fn sign_out(&self, email: &str) {
        call(self.control, "DELETE", &format!("/v1/sessions?email={email}"), "");
    }

    /// Forgets what the site has received.
    pub(crate) fn forget(&self) {
        self.received.lock().unwrap().clear();
    }

    /// What the site has received by POST.
    pub(crate) fn posts(&self) -> Vec<Received> {
        let received = self.received.lock().unwrap();
        received.iter().filter(|request| request.method == "POST").cloned().collect()
    }
}

impl Drop for Newsroom {
    fn drop(&mut self) {
        drop(self.gateway.kill());
        drop(self.gateway.wait());
    }
}

fn listening(gateway: &mut Child, mut log: File) -> Receiver<Value> {
    let lines = BufReader::new(gateway.stderr.take().unwrap()).lines();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            drop(writeln!(log, "{line}"));
            if line.contains("listening") {
                drop(tell.send(serde_json::from_str(&line).unwrap()));
            }
        }
    });
    told
}

/// Asks who it is, and sends whoever answers back with a token.
fn login_page(request: &Received, control: SocketAddr) -> (String, String) {
    if request.method == "GET" {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let field = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map_or_else(String::new, |(_, value)| value.into_owned())
        };
        let escaped = |text: String| text.replace('&', "&amp;").replace('"', "&quot;");
        let (return_url, state) = (escaped(field("return_url")), escaped(field("state")));
        let page = format!(
            "<h1>Who are you?</h1><form method=\"post\" action=\"/login\"><input name=\"email\" id=\"email\">\
             <input type=\"hidden\" name=\"return_url\" value=\"{return_url}\">\
             <input type=\"hidden\" name=\"state\" value=\"{state}\"><button>Sign in</button></form>"
        );
        return ("200 OK".to_owned(), page);
    }
    let field = |name: &str| {
        let mut pairs = form_urlencoded::parse(&request.body);
        pairs.find(|(key, _)| key == name).map_or_else(String::new, |(_, value)| value.into_owned())
    };
    let order = serde_json::json!({
        "site": "news", "email": field("email"), "first_name": "A", "last_name": "B", "state": field("state"),
    });
    let issued: Value =
        serde_json::from_str(&call(control, "POST", "/v1/sso_tokens", &order.to_string())).unwrap();
    let (url, token) = (field("return_url"), issued["token"].as_str().unwrap());
    let sign = if url.contains('?') { '&' } else { '?' };
    (format!("303 See Other\r\nLocation: {url}{sign}sso={token}"), String::new())
}

/// The body of the control API's answer.
fn call(control: SocketAddr, method: &str, target: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(control).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: control\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())
}

/// A server on a port of its own, as small as can be: a request for each connection.
fn serve(answer: impl Fn(&Received) -> (String, String) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || exchange(stream, &*answer));
        }
    });
    address
}

fn exchange(stream: TcpStream, answer: &dyn Fn(&Received) -> (String, String)) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        let _infallible = write!(head, "{line}");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (status, page) = answer(&Received { method, target, head, body });
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{page}",
        page.len()
    )
    .ok()
}
