//! A gateway with two sites, people who come and go, and an operator: what the admin page is tried on, and
//! what its pictures show. Its clock is moved, so that there is a past to look at in no time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tollgate::app::{self, Ambient, Running};
use tollgate::config::{self, Environment};
use tollgate::domain::clock::{ManualClock, Timestamp};
use tollgate::domain::entropy::SystemEntropy;

/// The operator's key.
pub(crate) const KEY: &str = "key-of-the-operator-0123456789-abcdefghijkl";

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// 2026-03-02, in the morning.
const START: Timestamp = Timestamp::from_millis(1_772_441_100_000);

const PEOPLE: [(&str, &str); 9] = [
    ("ada@example.com", "Ada Lovelace"),
    ("alan@example.com", "Alan Turing"),
    ("grace.hopper@navy.example", "Grace Hopper"),
    ("katherine@langley.example", "Katherine Johnson"),
    ("zoe@example.com", "Zoë O’Neill"),
    ("hedy@example.com", "Hedy Lamarr"),
    ("radia@example.com", "Radia Perlman"),
    ("edsger@example.com", "Edsger Dijkstra"),
    ("barbara@example.com", "Barbara Liskov"),
];

/// All of it, running. It ends when it is dropped.
pub(crate) struct Backstage {
    clock: Arc<ManualClock>,
    http: SocketAddr,
    pub(crate) control: SocketAddr,
    runtime: Runtime,
    running: Running,
    _folder: TempDir,
}

impl Backstage {
    pub(crate) fn set() -> Self {
        Self::set_in(TempDir::new().unwrap())
    }

    /// The same in a folder whose name does not look made up, for pictures that show it.
    pub(crate) fn set_for_pictures() -> Self {
        Self::set_in(tempfile::Builder::new().prefix("tollgate").rand_bytes(0).tempdir().unwrap())
    }

    fn set_in(folder: TempDir) -> Self {
        std::fs::create_dir(folder.path().join("certs")).unwrap();
        let clock = Arc::new(ManualClock::starting_at(START));
        let site = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = site.local_addr().unwrap();
        let its_clock = Arc::clone(&clock);
        std::thread::spawn(move || {
            for stream in site.incoming().flatten() {
                let clock = Arc::clone(&its_clock);
                std::thread::spawn(move || drop(answer(stream, &clock)));
            }
        });
        // Nobody is there.
        let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (name, until) in [("intranet", (2026, 9, 1)), ("paper", (2026, 3, 12))] {
            let key = KeyPair::generate().unwrap();
            let mut certificate = CertificateParams::new(vec![format!("{name}.example.com")]).unwrap();
            certificate.not_before = date_time_ymd(2025, 12, 1);
            certificate.not_after = date_time_ymd(until.0, until.1, until.2);
            let certificate = certificate.self_signed(&key).unwrap();
            std::fs::write(folder.path().join(format!("certs/{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(folder.path().join(format!("certs/{name}.key")), key.serialize_pem()).unwrap();
        }
        let shown = |name: &str| {
            format!("[[server.certificate]]\ncert = \"certs/{name}.pem\"\nkey = \"certs/{name}.key\"\n")
        };
        let toml = format!(
            "[server]\nhttp = [\"127.0.0.1:0\"]\nhttps = [\"127.0.0.1:0\"]\nworkers = 1\n{}{}\
             [control]\nlisten = \"127.0.0.1:0\"\n[store]\nkind = \"memory\"\n\
             [[api_key]]\nname = \"operator\"\nsecret = \"{KEY}\"\nscopes = [\"admin\"]\n\
             [[site]]\nname = \"intranet\"\nhosts = [\"intranet.example.com\"]\nupstream = [\"http://{upstream}\"]\n\
             public_url = \"https://intranet.example.com\"\nlogin_url = \"https://login.example.com/\"\n\
             allow_backend_login = true\n\
             [[site.route]]\npath = \"/public/\"\naccess = \"off\"\n\
             [[site.route]]\npath = \"/payroll/\"\nrequire = {{ groups = [\"staff\"], networks = [\"10.0.0.0/8\"] }}\n\
             [[site.route]]\npath = \"/payroll/admin/\"\nrequire = {{ backend = true, roles = [\"admin\"] }}\n\
             [[site]]\nname = \"paper\"\nhosts = [\"paper.example.com\", \"*.paper.example.com\"]\naccess = \"optional\"\n\
             upstream = [\"http://{upstream}\", \"http://{down}\"]\nlogin_url = \"https://login.example.com/\"\n\
             session_idle = \"48h\"\nsession_max = \"30d\"\n\
             [[site.route]]\npath = \"/premium/\"\nrequire = {{ plans = [\"gold\"] }}\n",
            shown("intranet"),
            shown("paper"),
        );
        let file = folder.path().join("config.toml");
        let settings = config::load(&toml, file.to_str().unwrap(), &Environment::empty())
            .unwrap_or_else(|faults| panic!("{faults}"));
        let runtime = Runtime::new().unwrap();
        let ambient = Ambient { clock: Arc::clone(&clock) as _, entropy: Arc::new(SystemEntropy) };
        let running = runtime.block_on(app::start(settings, ambient)).unwrap();
        let (http, control) = (running.http[0], running.control);
        Self { clock, http, control, runtime, running, _folder: folder }
    }

    /// The address of a page of the admin page.
    pub(crate) fn page(&self, place: &str) -> String {
        format!("http://{}/admin/{place}", self.control)
    }

    /// Signs somebody in; the cookie.
    pub(crate) fn sign_in(&self, site: &str, (email, name): (&str, &str)) -> String {
        let body = format!(
            "{{\"site\": {site:?}, \"email\": {email:?}, \"full_name\": {name:?}, \"groups\": [\"staff\", \"press\"], \
             \"plans\": [\"gold\"], \"attributes\": {{\"department\": \"Numbers & Co\"}}, \"external_id\": \"c-{}\"}}",
            email.len()
        );
        let request = format!(
            "POST /v1/sso_tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let issued = exchange(self.control, &request);
        let (_, token) = issued.split_once("\"token\":\"").unwrap_or_else(|| panic!("{issued}"));
        let token = token.split('"').next().unwrap();
        let answer = self.ask(site, &format!("/?sso={token}"), "");
        let cookie = answer.lines().find(|line| line.to_lowercase().starts_with("set-cookie: "));
        let cookie = cookie.unwrap_or_else(|| panic!("{answer}")).split_once(' ').unwrap().1;
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Asks a site for something.
    pub(crate) fn ask(&self, site: &str, target: &str, cookie: &str) -> String {
        exchange(self.http, &request(site, target, cookie))
    }

    /// Begins to read a stream of events from the site, which goes on until somebody ends it.
    pub(crate) fn follow_events(&self, cookie: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request("intranet", "/events", cookie).as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while !line.contains("first") {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "there are no events");
        }
        reader
    }

    /// Somebody tries a key that there is not.
    pub(crate) fn try_wrong_key(&self) {
        exchange(
            self.control,
            "GET /v1/users HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer nobody-has-this-key\r\nConnection: close\r\n\r\n",
        );
    }

    /// Lets so many seconds pass in steps of five, in which people come and go, and says whose cookies
    /// there are.
    pub(crate) fn live_through(&self, seconds: u64) -> Vec<String> {
        let mut cookies: Vec<String> = PEOPLE.map(|who| self.sign_in("intranet", who)).to_vec();
        for step in 0..seconds / 5 {
            // The gateway looks at its clock a few times a second.
            std::thread::sleep(Duration::from_millis(220));
            // A wave, with some noise.
            let wave = 4 + step.abs_diff(90) / 14 + noise(step) % 4;
            for number in 0..wave {
                let cookie = &cookies[usize::try_from(step * 3 + number).unwrap() % cookies.len()];
                self.ask("intranet", &format!("/a?page={number}"), cookie);
            }
            let who = PEOPLE[usize::try_from(noise(step * 5)).unwrap() % PEOPLE.len()];
            if noise(step + 7).is_multiple_of(6) {
                cookies.push(self.sign_in("paper", who));
            }
            if noise(step + 1).is_multiple_of(9) {
                self.ask("paper", &format!("/?sso={}", "A".repeat(43)), "");
            }
            if noise(step + 3).is_multiple_of(21) {
                self.try_wrong_key();
            }
            self.ask("paper", "/", "");
            self.clock.advance(Duration::from_secs(5));
        }
        std::thread::sleep(Duration::from_millis(400));
        cookies
    }

    /// The configuration was changed to something that cannot be.
    pub(crate) fn refuse_settings(&self) {
        let _entered = self.runtime.enter();
        self.running.note_refused([
            "config.toml:31:1: site.paper.acess: there is no such key — did you mean access?",
            "config.toml:40:9: site.paper.route[0].path: \"premium/\" does not begin with a /",
        ]);
    }
}

/// A number like any other.
fn noise(seed: u64) -> u64 {
    (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

fn request(site: &str, target: &str, cookie: &str) -> String {
    let host = format!("{site}.example.com");
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    )
}

fn exchange(to: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Answers requests on one connection: with a page that takes some milliseconds, or with events without end.
fn answer(mut stream: TcpStream, clock: &ManualClock) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    for count in 0_u64.. {
        let (mut first, mut line) = (String::new(), String::new());
        reader.read_line(&mut first)?;
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        if first.starts_with("GET /events ") {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            write!(stream, "{head}d\r\ndata: first\n\n\r\n")?;
            // It ends when the gateway hangs up.
            return reader.read_line(&mut line).map(|_| ());
        }
        let slow = if noise(count * 3).is_multiple_of(50) { 10 } else { 0 };
        clock.advance(Duration::from_millis(2 + noise(count) % 7 + count / 100 % 4 + slow));
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")?;
    }
    Ok(())
}
