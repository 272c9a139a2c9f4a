//! What no honest client sends: a clear 4xx each time, on either listener, and the gateway goes
//! on as if nothing had been.

use crate::support::{ApiClient, FakeUpstream, Plan, SITE, TestGateway, Visitor};

/// Heads that are no heads.
fn heads() -> Vec<Vec<u8>> {
    let mut heads: Vec<Vec<u8>> = [
        "\r\n",
        "x",
        "GET",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP\r\n\r\n",
        "GET / HTTP/\r\n\r\n",
        "GET / HTTP/1\r\n\r\n",
        "GET / HTTP/1.\r\n\r\n",
        "GET / HTTP/1.1.1\r\n\r\n",
        "GET / http/1.1\r\nHost: site.test\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: site.test\r\n\r\n",
        "GET / XTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "G\u{fc}T / HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GE(T / HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\nNoColon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\nA B: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\nA\0: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\nA: x\0y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\nA: x\ry\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\nA\u{fc}: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\n folded: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site.test\r\nHost: site.test\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 340282366920938463463374607431768211456\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: nonsense\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "<policy-file-request/>\0\r\n\r\n",
        "EHLO mail.example\r\n\r\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let long = "x".repeat(200_000);
    heads.push(format!("GET /{long} HTTP/1.1\r\nHost: site.test\r\n\r\n").into_bytes());
    heads.push(format!("{long} / HTTP/1.1\r\nHost: site.test\r\n\r\n").into_bytes());
    heads.push(format!("GET / HTTP/1.1\r\nHost: site.test\r\nA: {long}\r\n\r\n").into_bytes());
    heads.push(format!("GET / HTTP/1.1\r\nHost: site.test\r\n{long}: a\r\n\r\n").into_bytes());
    heads.push(format!("GET / HTTP/1.1\r\nHost: site.test\r\n{}\r\n", "A: b\r\n".repeat(5_000)).into_bytes());
    heads.push(b"GET / HTTP/1.1\r\nHost: site.test\xff\r\n\r\n".to_vec());
    heads.push((0..=255).collect());
    heads.push(vec![0; 100_000]);
    heads.push(vec![b'\r'; 100_000]);
    heads
}

#[tokio::test]
async fn a_head_that_is_none_is_refused_and_the_next_one_is_served() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    for head in heads() {
        let shown: String = String::from_utf8_lossy(&head).chars().take(100).collect();
        for public in [true, false] {
            let mut connection = if public {
                visitor.connect().await
            } else {
                crate::support::Connection::open([127, 0, 0, 1].into(), gateway.control).await
            };
            connection.send(&head).await;
            connection.finish().await;
            let answer = String::from_utf8_lossy(&connection.rest().await).into_owned();
            let refused =
                answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
            // A path that merely looks odd may also be one of which a stranger is asked to log in.
            let closed = public && answer.starts_with("HTTP/1.1 302") || answer.starts_with("HTTP/1.1 505");
            assert!(refused || closed, "{shown:?}: {answer}");
        }
    }
    upstream.assert_untouched("heads that are none").await;
    still_well(&gateway, &upstream).await;
}

#[tokio::test]
async fn whoever_hangs_up_midway_does_no_harm() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    for part in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHos",
        "GET / HTTP/1.1\r\nHost: site.test\r\n\r",
        "POST /public/a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 100\r\n\r\nhalf",
        "POST /public/a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        "POST /api/session/get-token HTTP/1.1\r\nHost: site.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 100\r\n\r\nemail=",
    ] {
        for _ in 0..20 {
            let mut connection = visitor.connect().await;
            connection.send(part.as_bytes()).await;
            drop(connection);
        }
    }
    crate::support::settle().await;
    assert!(upstream.requests().is_empty(), "half a request is none: {:?}", upstream.requests());
    still_well(&gateway, &upstream).await;
}

#[tokio::test]
async fn a_broken_query_or_form_is_an_answer_and_not_an_accident() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("redeem", "\"confirm\"")).start().await;
    let visitor = Visitor::at(&gateway);
    let long = format!("token={}", "x".repeat(3_000_000));
    for body in [
        "",
        "&",
        "=",
        "%",
        "%zz",
        "token",
        "token=",
        "token=%00",
        "token=%ff%fe",
        "a=b&a=c&token=x",
        "\0\0",
        &long,
    ] {
        for content_type in
            ["application/x-www-form-urlencoded", "multipart/form-data; boundary=", "text/xml", ""]
        {
            for path in ["/.tollgate/redeem", "/.tollgate/logout", "/api/session/get-token", "/api/echo"] {
                let request = format!(
                    "POST {path} HTTP/1.1\r\nHost: site.test\r\nContent-Type: {content_type}\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let answer = visitor.send_raw(request.as_bytes()).await.expect("an answer");
                let shown: String = body.chars().take(40).collect();
                assert!(answer.status < 500, "{path} {content_type} {shown:?}: {answer:?}");
                assert!(
                    answer
                        .headers
                        .all("set-cookie")
                        .iter()
                        .all(|c| !c.starts_with("tollgate=") || c.contains("tollgate=;"))
                );
            }
        }
    }
    for query in [
        "%",
        "%zz",
        "&&&",
        "=",
        "sso",
        "sso=%",
        "sso=%ff",
        "return_url=%",
        "return_url=%ff%fe",
        "\u{fc}",
        "a=b=c",
    ] {
        for path in
            ["/.tollgate/login", "/.tollgate/logout", "/.tollgate/redeem", "/.tollgate/session", "/api/echo"]
        {
            let request = format!("GET {path}?{query} HTTP/1.1\r\nHost: site.test\r\n\r\n");
            let answer = visitor.send_raw(request.as_bytes()).await.expect("an answer");
            assert!(answer.status < 500, "{path}?{query}: {answer:?}");
        }
    }
    upstream.assert_untouched("the gateway's own paths").await;
    still_well(&gateway, &upstream).await;
}

/// `Authorization` values that an OAuth 1.0a server must not stumble over.
const OAUTH_HEADERS: &[&str] = &[
    "OAuth",
    "OAuth ",
    "oauth x",
    "OAuth ,",
    "OAuth ,,,,",
    "OAuth =",
    "OAuth =\"\"",
    "OAuth a",
    "OAuth a=",
    "OAuth a=\"",
    "OAuth a=\"b",
    "OAuth a=\"b\" c=\"d\"",
    "OAuth a=b,c=d",
    "OAuth oauth_signature=\"%\"",
    "OAuth oauth_signature=\"%zz\"",
    "OAuth oauth_signature=\"%ff%fe\"",
    "OAuth oauth_consumer_key=\"consumer-key\"",
    "OAuth oauth_consumer_key=\"consumer-key\", oauth_consumer_key=\"consumer-key\"",
    "OAuth oauth_consumer_key=\"nobody\",oauth_token=\"x\",oauth_signature_method=\"HMAC-SHA1\",oauth_timestamp=\"1\",\
     oauth_nonce=\"x\",oauth_signature=\"x\"",
    "OAuth oauth_consumer_key=\"consumer-key\",oauth_token=\"access-token\",oauth_signature_method=\"HMAC-SHA1\",\
     oauth_timestamp=\"-1\",oauth_nonce=\"x\",oauth_signature=\"x\"",
    "OAuth oauth_consumer_key=\"consumer-key\",oauth_token=\"access-token\",oauth_signature_method=\"HMAC-SHA1\",\
     oauth_timestamp=\"99999999999999999999999\",oauth_nonce=\"x\",oauth_signature=\"x\"",
    "OAuth oauth_consumer_key=\"consumer-key\",oauth_token=\"access-token\",oauth_signature_method=\"PLAINTEXT\",\
     oauth_timestamp=\"1763800000\",oauth_nonce=\"x\",\
     oauth_signature=\"consumer-secret-0123456789-abcdefghijkl%26access-secret-0123456789-abcdefghijklmn\"",
    "OAuth oauth_consumer_key=\"consumer-key\",oauth_token=\"access-token\",oauth_signature_method=\"HMAC-SHA1\",\
     oauth_timestamp=\"1763800000\",oauth_nonce=\"x\",oauth_signature=\"\"",
    "OAuth oauth_consumer_key=\"consumer-key\",oauth_token=\"access-token\",oauth_signature_method=\"none\",\
     oauth_timestamp=\"1763800000\",oauth_nonce=\"x\",oauth_signature=\"x\"",
    "Bearer",
    "Bearer ",
    "Bearer a b",
    "Basic %%%",
    "\u{fc}",
];

#[tokio::test]
async fn a_broken_signature_is_told_as_such() {
    let upstream = FakeUpstream::start().await;
    let key = "name = \"signing\"\nscopes = []\npermission = \"super\"\nconsumer_key = \"consumer-key\"\n\
               consumer_secret = \"consumer-secret-0123456789-abcdefghijkl\"\naccess_token = \"access-token\"\n\
               access_secret = \"access-secret-0123456789-abcdefghijklmn\"";
    let gateway = Plan::new(&upstream).key(key).start().await;
    let long = format!("OAuth {}", "a=\"b\",".repeat(4_000));
    let mut addresses = 1_u8..;
    for header in OAUTH_HEADERS.iter().copied().chain([long.as_str()]) {
        // From an address of its own, as guessing from one is slowed down.
        let api: ApiClient =
            gateway.api().with_key(None).at_address(7, addresses.next().expect("an address"));
        for (method, content_type) in [("GET", "text/plain"), ("POST", "application/x-www-form-urlencoded")] {
            let headers = [("Authorization", header), ("Content-Type", content_type)];
            let answer = api.send(method, "/api/session/get-token", &headers, b"").await;
            let shown: String = header.chars().take(80).collect();
            let refused = answer.status == 200 && answer.text().contains("status=\"error\"");
            assert!(
                refused || (400..500).contains(&answer.status),
                "{shown:?}: {answer:?}\n{}",
                answer.text()
            );
            assert!(!answer.text().contains("access_token>"), "{shown:?}: {}", answer.text());
            assert!(!answer.text().contains("secret-0123456789"), "{shown:?}: {}", answer.text());
        }
    }
    let api = gateway.api().with_key(None).at_address(7, 200);
    for body in [
        "oauth_signature=x",
        "oauth_consumer_key=consumer-key&oauth_signature=%",
        "oauth_token=%ff",
        "%",
        "\0",
    ] {
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = api.send("POST", "/api/session/get-token", &form, body.as_bytes()).await;
        assert!(answer.text().contains("status=\"error\""), "{body:?}: {}", answer.text());
    }
    still_well(&gateway, &upstream).await;
}

/// After all of that, everything works as ever.
async fn still_well(gateway: &TestGateway, upstream: &FakeUpstream) {
    let mut visitor = Visitor::at(gateway).at_address(8, 1);
    let token = gateway.login_page().token_for("jane@example.com").await;
    let url = format!("{SITE}/closed?sso={token}");
    let mut answer = visitor.get(&url).await;
    if answer.status == 200 {
        // A site that wants a confirmation.
        let (action, fields) = crate::support::form_of(&answer.text());
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let action = crate::support::resolved(&url, &action);
        answer = visitor.send(crate::support::Ask::navigate("POST", action.as_str()).form(&fields)).await;
    }
    assert!(matches!(answer.status, 302 | 303), "{answer:?}");
    assert_eq!(visitor.get(&format!("{SITE}/closed")).await.status, 200);
    assert_eq!(upstream.last().header("x-forwarded-user").as_deref(), Some("jane@example.com"));
    assert_eq!(gateway.api().get("/healthz").await.status, 200);
}
