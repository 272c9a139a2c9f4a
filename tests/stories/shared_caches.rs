//! A cache in front of the gateway shows nobody what was made for another, and one behind it may keep
//! an answer for all of a class: with the cache that many sites have, as docs/paywall.md sets it up.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::servers::redis::free_port;
use crate::support::{Ask, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, serving, settle};

const DOCUMENT: &str = include_str!("../../docs/paywall.md");

/// An nginx that runs until it is dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Starts one with this in its `http { }`, where PORT stands for its port and CACHE for a folder.
    async fn start(http: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, path) = (free_port(), folder.path().display().to_string());
        let http = http.replace("PORT", &port.to_string()).replace("CACHE", &format!("{path}/cache"));
        let config = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path {path}/body; proxy_temp_path {path}/temp;\n\
             fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n{http}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).expect("writes a file");
        let mut nginx = Command::new("nginx");
        // Where Debian has it, which is not on everybody's path.
        nginx.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
        nginx.args(["-e", "stderr", "-p", &path, "-c"]).arg(&file).stdin(Stdio::null());
        let child = nginx.spawn().expect("nginx is there: `tests/run` installs it");
        let nginx = Self { child, address: ([127, 0, 0, 1], port).into(), _folder: folder };
        let listens = async {
            while TcpStream::connect(nginx.address).await.is_err() {
                settle().await;
            }
        };
        timeout(HANG, listens).await.expect("nginx listens in time");
        nginx
    }

    /// One that keeps whatever it may in front of `gateway`, under the key that it has by itself.
    async fn in_front_of(gateway: &TestGateway) -> Self {
        let to = gateway.http;
        Self::start(&format!(
            "proxy_cache_path CACHE keys_zone=front:1m;\nserver {{ listen 127.0.0.1:PORT; location / {{\n\
             proxy_pass http://{to}; proxy_set_header Host $host; proxy_cache front; proxy_cache_valid any 10m;\n\
             proxy_cache_methods GET HEAD; add_header X-Cache $upstream_cache_status always; }} }}"
        ))
        .await
    }

    fn visitor(&self, gateway: &TestGateway) -> Visitor {
        Visitor::of(self.address, Arc::clone(&gateway.clock))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// A site that greets whoever comes, with the fields that the query has asked for.
async fn greeter() -> SocketAddr {
    serving(greet).await
}

/// What the greeter says of caches, by the last word of the path.
const SAYINGS: [(&str, &str); 12] = [
    ("nothing", ""),
    ("modified", "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT\r\n"),
    ("public", "Cache-Control: public, max-age=600\r\n"),
    ("age", "Cache-Control: max-age=600\r\n"),
    ("shared", "Cache-Control: private, s-maxage=600\r\n"),
    ("expires", "Expires: Fri, 01 Jan 2100 00:00:00 GMT\r\n"),
    ("accel", "X-Accel-Expires: 600\r\n"),
    (
        "cdn",
        "Cache-Control: no-cache\r\nCDN-Cache-Control: max-age=600\r\nSurrogate-Control: max-age=600\r\n",
    ),
    ("class", "Cache-Control: max-age=600\r\nVary: X-Access-Class\r\n"),
    ("encoding", "Cache-Control: max-age=600\r\nVary: Accept-Encoding\r\n"),
    ("qualified", "Cache-Control: private=\"x-user\", max-age=600\r\n"),
    (
        "late",
        "Cache-Control: max-age=600\r\nCache-Control: public\r\nExpires: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
    ),
];

async fn greet(mut stream: TcpStream) {
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let Some(head) = buffer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..head]).into_owned();
        buffer.clear();
        let field = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let mut values = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            values.next().unwrap_or("nobody").to_owned()
        };
        let path = head.split(' ').nth(1).unwrap_or_default();
        let saying = SAYINGS.iter().find(|(word, _)| path.ends_with(word)).map_or("", |(_, saying)| saying);
        let label = if path.contains("/paid/") { "X-Access-Required: gold\r\n" } else { "" };
        let body = format!("hello {} of {}", field("x-forwarded-user"), field("x-access-class"));
        let answer =
            format!("HTTP/1.1 200 OK\r\n{saying}{label}Content-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn signs_in(visitor: &mut Visitor, gateway: &TestGateway, name: &str, plans: &[&str]) {
    let order =
        json!({ "email": format!("{name}@x.test"), "full_name": name, "external_id": name, "plans": plans });
    let token = gateway.login_page().token(order).await;
    assert_eq!(visitor.get(&format!("{SITE}/public/?sso={token}")).await.status, 302);
}

#[tokio::test]
async fn a_cache_in_front_shows_nobody_what_was_made_for_another() {
    let site = SitePlan::new("intranet", "site.test", greeter().await).with("apis", "[]");
    let gateway = Plan::of(site).server("trusted_proxies", "[\"127.0.0.1\"]").start().await;
    let nginx = Nginx::in_front_of(&gateway).await;
    let mut visitors = [(); 4].map(|()| nginx.visitor(&gateway));
    let [jane, joe, ..] = &mut visitors;
    signs_in(jane, &gateway, "jane", &["gold"]).await;
    signs_in(joe, &gateway, "joe", &[]).await;
    let names = ["jane", "joe", "nobody", "nobody"];
    let mut hits = 0;
    // Whoever comes first, and whoever comes after.
    for (round, order) in [[0, 1, 2, 3], [2, 3, 0, 1], [1, 2, 0, 3]].into_iter().enumerate() {
        for folder in ["closed", "optional", "paid", "optional/paid"] {
            for (word, _) in SAYINGS {
                let url = format!("{SITE}/{folder}/{round}/{word}");
                for who in order.into_iter().chain(order) {
                    let answer = visitors[who].get(&url).await;
                    let text = answer.text();
                    let what = format!("{url} for {}: {answer:?}\n{text}", names[who]);
                    let closed = folder == "closed" || folder == "paid";
                    let paid = folder.ends_with("paid");
                    let expected = match who {
                        1 if paid => 403,
                        2.. if closed || paid => 302,
                        _ => 200,
                    };
                    assert_eq!(answer.status, expected, "{what}");
                    if expected == 200 {
                        assert!(text.starts_with(&format!("hello {} ", names[who])), "{what}");
                    } else {
                        assert!(!text.contains("hello"), "{what}");
                    }
                    if answer.header("x-cache").as_deref() == Some("HIT") {
                        // Only what strangers get is kept, and for strangers.
                        assert!(who > 1 && expected == 200, "{what}");
                        hits += 1;
                    }
                }
            }
        }
    }
    assert!(hits > 50, "the cache keeps what it may: {hits}");
    // After a logout she is a stranger, with whatever is left of her cookies.
    let url = format!("{SITE}/optional/0/public");
    assert!(visitors[0].get(&url).await.text().contains("jane"));
    visitors[0].get(&format!("{SITE}/.tollgate/logout")).await;
    assert!(visitors[0].get(&url).await.text().contains("nobody"));
    // What is open is the site's own business.
    assert_eq!(
        visitors[2].get(&format!("{SITE}/public/public")).await.header("x-cache").as_deref(),
        Some("MISS")
    );
    assert_eq!(
        visitors[1].get(&format!("{SITE}/public/public")).await.header("x-cache").as_deref(),
        Some("HIT")
    );
}

/// The nginx that the document puts between gateway and site.
async fn behind(site: SocketAddr) -> Nginx {
    let (_, block) = DOCUMENT.split_once("```nginx\n").expect("shows one");
    let (config, _) = block.split_once("```").expect("ends");
    let config =
        config.replace("127.0.0.1:9001", "127.0.0.1:PORT").replace("127.0.0.1:9000", &site.to_string());
    let config = config.replace("/var/cache/nginx/paper", "CACHE");
    let told = "proxy_cache paper;";
    assert!(config.contains(told) && config.contains("PORT") && config.contains("CACHE"), "{config}");
    Nginx::start(&config.replace(told, &format!("{told} add_header X-Cache $upstream_cache_status always;")))
        .await
}

#[tokio::test]
async fn a_cache_behind_keeps_one_answer_for_all_of_a_class() {
    let nginx = behind(greeter().await).await;
    let site = SitePlan::new("intranet", "site.test", nginx.address);
    let gateway = Plan::of(site).start().await;
    let mut visitors = [(); 6].map(|()| Visitor::at(&gateway));
    for (visitor, (name, plans)) in visitors.iter_mut().zip([
        ("jane", &["gold"][..]),
        ("jack", &["gold", "trial"]),
        ("joe", &[]),
        ("jill", &["trial", "gold"]),
    ]) {
        signs_in(visitor, &gateway, name, plans).await;
    }
    let cached = |answer: &crate::support::Response| answer.header("x-cache").expect("nginx says so");
    for (who, class, cache) in [
        (0, "plan-gold", "MISS"),
        (1, "plan-gold", "HIT"),
        (2, "registered", "MISS"),
        (3, "plan-trial", "MISS"),
        (4, "anonymous", "MISS"),
        (5, "anonymous", "HIT"),
        (0, "plan-gold", "HIT"),
        (2, "registered", "HIT"),
    ] {
        let answer = visitors[who].get(&format!("{SITE}/optional/age")).await;
        assert_eq!((answer.text(), cached(&answer)), (format!("hello nobody of {class}"), cache.to_owned()));
        let vary = answer.header("vary");
        assert_eq!(vary.as_deref(), Some("Cookie"));
        assert_eq!(answer.headers.lists("cache-control", "private"), who < 4, "{answer:?}");
    }
    // A label is kept with its answer, and judged for each visitor.
    for (who, status, cache) in [
        (0, 200, Some("MISS")),
        (1, 200, Some("HIT")),
        (2, 403, None),
        (3, 200, Some("MISS")),
        (4, 302, None),
    ] {
        let answer = visitors[who].get(&format!("{SITE}/optional/paid/age")).await;
        assert_eq!((answer.status, answer.header("x-cache").as_deref()), (status, cache), "{who}");
    }
    // Nobody gets another class's copy by saying so.
    let forged = Ask::navigate("GET", &format!("{SITE}/optional/age")).and("X_Access_Class", "plan-gold");
    let answer = visitors[4].send(forged.and("X-Access-Class", "plan-gold")).await;
    assert_eq!(answer.text(), "hello nobody of anonymous");
}
