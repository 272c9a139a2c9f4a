//! Lines, as those who read them expect them.

use super::*;
use crate::domain::entropy::SeededEntropy;
use crate::domain::host::Scheme;
use crate::http::request_id::RequestIds;

fn head(request: &Request<()>) -> Head {
    let client = Client {
        address: "2001:db8::7".parse().unwrap(),
        is_named: true,
        scheme: Scheme::Https,
        by_trusted_proxy: false,
    };
    let ids = RequestIds::new(&SeededEntropy::new(1));
    let request_id = RequestId::of(request.headers(), &client, &ids);
    Head::of(request, &client, &request_id)
}

fn request(path: &str, headers: &[(&str, &[u8])]) -> Request<()> {
    let mut request = Request::get(path).body(()).unwrap();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    request
}

fn outcome(status: Option<u16>, bytes: Option<u64>) -> Outcome<'static> {
    let began = Moment::from(Timestamp::from_millis(1_763_800_000_042));
    let ended = Moment::from(Timestamp::from_millis(1_763_800_000_049));
    Outcome { status, bytes, ..Outcome::abandoned(began, ended) }
}

#[test]
fn a_combined_line_is_what_apache_writes() {
    for (request, outcome, line) in [
        (
            request(
                "/a%20b?sso=secret",
                &[("referer", b"https://l.test/in?t=secret"), ("user-agent", b"curl/8")],
            ),
            Outcome {
                session: Some((SessionId::parse(ID).unwrap(), UserId::parse("7"))),
                ..outcome(Some(200), Some(5))
            },
            "2001:db8::7 - 7 [22/Nov/2025:08:26:40 +0000] \"GET /a%20b HTTP/1.1\" 200 5 \"https://l.test/in\" \"curl/8\"\n",
        ),
        (
            request("/", &[("user-agent", b"a\"b\\c\td\xff"), ("referer", b"https://u:secret@l.test/")]),
            outcome(Some(304), Some(0)),
            "2001:db8::7 - - [22/Nov/2025:08:26:40 +0000] \"GET / HTTP/1.1\" 304 - \"-\" \"a\\\"b\\\\c\\td\\xff\"\n",
        ),
        (
            request("/x", &[]),
            outcome(None, None),
            "2001:db8::7 - - [22/Nov/2025:08:26:40 +0000] \"GET /x HTTP/1.1\" 499 - \"-\" \"-\"\n",
        ),
        (
            request(
                &format!("/x;sso={TOKEN}"),
                &[("referer", format!("https://l.test/in&sso={TOKEN}?a;sso={TOKEN}").as_bytes())],
            ),
            outcome(Some(200), Some(5)),
            "2001:db8::7 - - [22/Nov/2025:08:26:40 +0000] \"GET /x;sso=*** HTTP/1.1\" 200 5 \"https://l.test/in&sso=***\" \"-\"\n",
        ),
    ] {
        let mut written = Vec::new();
        combined::write(&mut written, "22/Nov/2025:08:26:40 +0000", &head(&request), &outcome);
        assert_eq!(String::from_utf8(written).unwrap(), line);
    }
}

const ID: &str = "00000000000000000000000000000001";

const TOKEN: &str = "dGhpcyBpcyBhIHRva2VuIG9mIHRoZSByaWdodCBsZW5n";

#[test]
fn a_line_in_json_is_one_whatever_a_client_sends() {
    let request = request("/p?sso=secret", &[("host", b"a\"\\\xff.test"), ("cookie", b"secret")]);
    let mut written = Vec::new();
    let outcome = Outcome { trace: Some(0xabc), ..outcome(Some(200), Some(5)) };
    json::write(&mut written, "2025-11-22T08:26:40", 42, &head(&request), &outcome);
    let line = String::from_utf8(written).unwrap();
    let value: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
    assert_eq!(value["timestamp"], "2025-11-22T08:26:40.042Z");
    assert_eq!((&value["host"], &value["path"]), (&"a\"\\\u{fffd}.test".into(), &"/p".into()));
    assert_eq!((&value["bytes"], &value["duration_ms"]), (&5.into(), &7.into()));
    assert_eq!(value["trace_id"], "00000000000000000000000000000abc");
    assert!(!line.contains("secret") && line.ends_with("}\n"), "{line}");

    let mut written = Vec::new();
    text::write(&mut written, "2025-11-22T08:26:40", 42, &head(&request), &outcome);
    let line = String::from_utf8(written).unwrap();
    assert!(line.contains(" host=\"a\\\"\\\\\u{fffd}.test\" ") && line.lines().count() == 1, "{line}");
}
