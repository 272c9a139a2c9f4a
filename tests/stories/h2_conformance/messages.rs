//! Requests as they are said in HTTP/2, and those that are none (RFC 9113 §8).

use super::play::{Case, Expect, OPEN, STREAM_CLOSED, begin_post, case};
use crate::support::h2::{DATA, END_HEADERS, END_STREAM, HEADERS, block, frame, get, post};

type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

/// Where no malformed request may arrive.
const NOWHERE: &str = "/public/malformed";

const METHOD: (&[u8], &[u8]) = (b":method", b"GET");
const SCHEME: (&[u8], &[u8]) = (b":scheme", b"http");
const AUTHORITY: (&[u8], &[u8]) = (b":authority", b"site.test");
const PATH: (&[u8], &[u8]) = (b":path", NOWHERE.as_bytes());
const CONNECT: (&[u8], &[u8]) = (b":method", b"CONNECT");

const MALFORMED: Expect = Expect::Malformed(1);

pub(super) fn cases() -> Vec<Case> {
    [exchanges(), bodies(), fields(), pseudo_fields(), hosts()].concat()
}

/// A whole request with exactly these fields.
fn request(fields: Fields<'_>) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields))
}

/// A whole request that would be right without these fields.
fn with(name: &'static str, more: Fields<'_>) -> Case {
    case(name).say(&request(&[&[METHOD, SCHEME, AUTHORITY, PATH], more].concat())).then(MALFORMED)
}

fn without(name: &'static str, fields: Fields<'_>) -> Case {
    case(name).say(&request(fields)).then(MALFORMED)
}

/// A request whose body is still to come, with these fields besides.
fn begin(more: Fields<'_>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &post(NOWHERE, more))
}

fn trailers(flags: u8, fields: Fields<'_>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, &block(fields))
}

fn exchanges() -> Vec<Case> {
    let head: Fields<'_> = &[(b":method", b"HEAD"), SCHEME, AUTHORITY, (b":path", OPEN.as_bytes())];
    let body = frame(DATA, 0, 1, b"test");
    vec![
        case("8.1 GET")
            .say(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get(OPEN)))
            .then(Expect::Answered(1)),
        case("8.1 HEAD").say(&request(head)).then(Expect::Answered(1)),
        case("8.1 POST")
            .say_all(&[begin_post(1), frame(DATA, END_STREAM, 1, b"test")])
            .then(Expect::Answered(1)),
        case("8.1 POST with trailers")
            .say_all(&[
                frame(HEADERS, END_HEADERS, 1, &post(OPEN, &[(b"trailer", b"x-test")])),
                body.clone(),
                trailers(END_STREAM, &[(b"x-test", b"ok")]),
            ])
            .then(Expect::Answered(1)),
        case("8.1 POST with nothing but trailers")
            .say_all(&[begin_post(1), trailers(END_STREAM, &[(b"x-test", b"ok")])])
            .then(Expect::Answered(1)),
        case("8.1 trailers that do not end the stream")
            .say_all(&[begin(&[]), body.clone(), trailers(0, &[(b"x-test", b"ok")])])
            .then(MALFORMED),
        case("8.1 DATA after the trailers")
            .holding()
            .say_all(&[begin_post(1), body.clone(), trailers(END_STREAM, &[(b"x-test", b"ok")]), body])
            .then(Expect::Reset(1, &[STREAM_CLOSED])),
    ]
}

fn bodies() -> Vec<Case> {
    let length = |length: &'static [u8]| begin(&[(b"content-length", length)]);
    let data = |flags, bytes: &[u8]| frame(DATA, flags, 1, bytes);
    let announcing = |name, length: &'static [u8]| with(name, &[(b"content-length", length)]);
    vec![
        case("8.1.1 DATA as long as content-length says")
            .say_all(&[
                frame(HEADERS, END_HEADERS, 1, &post(OPEN, &[(b"content-length", b"4")])),
                data(0, b"te"),
                data(END_STREAM, b"st"),
            ])
            .then(Expect::Answered(1)),
        case("8.1.1 less DATA than content-length says")
            .say_all(&[length(b"5"), data(END_STREAM, b"test")])
            .then(MALFORMED),
        case("8.1.1 more DATA than content-length says")
            .say_all(&[length(b"1"), data(END_STREAM, b"test")])
            .then(MALFORMED),
        case("8.1.1 several DATA, less than content-length says")
            .say_all(&[length(b"5"), data(0, b"te"), data(END_STREAM, b"st")])
            .then(MALFORMED),
        case("8.1.1 several DATA, more than content-length says")
            .say_all(&[length(b"3"), data(0, b"te"), data(END_STREAM, b"st")])
            .then(MALFORMED),
        case("8.1.1 trailers before the content-length is reached")
            .say_all(&[length(b"5"), data(0, b"test"), trailers(END_STREAM, &[(b"x-test", b"ok")])])
            .then(MALFORMED),
        announcing("8.1.1 a content-length and no DATA", b"5"),
        announcing("8.1.1 a content-length that is no number", b"five"),
        announcing("8.1.1 a content-length with a sign", b"+0"),
        with("8.1.1 two lengths", &[(b"content-length", b"0"), (b"content-length", b"1")]),
    ]
}

fn fields() -> Vec<Case> {
    let ending = |name, fields: Fields<'_>| {
        case(name)
            .say_all(&[begin(&[]), frame(DATA, 0, 1, b"test"), trailers(END_STREAM, fields)])
            .then(MALFORMED)
    };
    vec![
        with("8.2.1 a capital letter in a name", &[(b"X-Test", b"ok")]),
        with("8.2.1 a space in a name", &[(b"x test", b"ok")]),
        with("8.2.1 a colon in a name", &[(b"x:test", b"ok")]),
        with("8.2.1 a control character in a name", &[(b"x\x01test", b"ok")]),
        with("8.2.1 DEL in a name", &[(b"x\x7ftest", b"ok")]),
        with("8.2.1 a name beyond ASCII", &[("x-tést".as_bytes(), b"ok")]),
        with("8.2.1 no name", &[(b"", b"ok")]),
        with("8.2.1 NUL in a value", &[(b"x-test", b"o\0k")]),
        with("8.2.1 LF in a value", &[(b"x-test", b"o\nk")]),
        with("8.2.1 CR in a value", &[(b"x-test", b"o\rk")]),
        with("8.2.1 a space before a value", &[(b"x-test", b" ok")]),
        with("8.2.1 a space after a value", &[(b"x-test", b"ok ")]),
        with("8.2.1 a tab before a value", &[(b"x-test", b"\tok")]),
        with("8.2.1 a tab after a value", &[(b"x-test", b"ok\t")]),
        with("8.2.2 Connection", &[(b"connection", b"keep-alive")]),
        with("8.2.2 Keep-Alive", &[(b"keep-alive", b"timeout=5")]),
        with("8.2.2 Proxy-Connection", &[(b"proxy-connection", b"keep-alive")]),
        with("8.2.2 Transfer-Encoding", &[(b"transfer-encoding", b"chunked")]),
        with("8.2.2 Upgrade", &[(b"upgrade", b"websocket")]),
        with("8.2.2 TE with anything but trailers", &[(b"te", b"trailers, deflate")]),
        case("8.2.2 TE with trailers")
            .say(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &post(OPEN, &[(b"te", b"trailers")])))
            .then(Expect::Answered(1)),
        case("8.2.3 a cookie in crumbs")
            .say(&frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &post(OPEN, &[(b"cookie", b"a=1"), (b"cookie", b"b=2")]),
            ))
            .then(Expect::Answered(1)),
        ending("8.2.1 a capital letter in a trailer", &[(b"X-Test", b"ok")]),
        ending("8.2.1 NUL in a trailer", &[(b"x-test", b"o\0k")]),
        ending("8.2.1 a space before a trailer", &[(b"x-test", b" ok")]),
        ending("8.2.1 a tab after a trailer", &[(b"x-test", b"ok\t")]),
        ending("8.2.2 Connection in a trailer", &[(b"connection", b"close")]),
        case("8.3 a pseudo-field in the trailers")
            .say_all(&[
                begin_post(1),
                frame(DATA, 0, 1, b"test"),
                trailers(END_STREAM, &[(b":method", b"POST")]),
            ])
            .then(MALFORMED),
        ending("8.3 an unknown pseudo-field in the trailers", &[(b":test", b"ok")]),
    ]
}

fn pseudo_fields() -> Vec<Case> {
    vec![
        with("8.3 a pseudo-field that nobody knows", &[(b":test", b"ok")]),
        with("8.3 a pseudo-field of answers", &[(b":status", b"200")]),
        without("8.3 a pseudo-field after a field", &[METHOD, SCHEME, AUTHORITY, (b"x-test", b"ok"), PATH]),
        without(
            "8.3 every pseudo-field after a field",
            &[(b"x-test", b"ok"), METHOD, SCHEME, AUTHORITY, PATH],
        ),
        without("8.3.1 an empty path", &[METHOD, SCHEME, AUTHORITY, (b":path", b"")]),
        without(
            "8.3.1 a path that does not begin with a slash",
            &[METHOD, SCHEME, AUTHORITY, (b":path", b"public/malformed")],
        ),
        without("8.3.1 an asterisk that is no OPTIONS", &[METHOD, SCHEME, AUTHORITY, (b":path", b"*")]),
        without(
            "8.3.1 a path with a space",
            &[METHOD, SCHEME, AUTHORITY, (b":path", b"/public/malformed x")],
        ),
        without("8.3.1 no method", &[SCHEME, AUTHORITY, PATH]),
        without("8.3.1 no scheme", &[METHOD, AUTHORITY, PATH]),
        without("8.3.1 no path", &[METHOD, SCHEME, AUTHORITY]),
        without("8.3.1 no pseudo-field at all", &[(b"x-test", b"ok")]),
        without("8.3.1 an empty method", &[(b":method", b""), SCHEME, AUTHORITY, PATH]),
        without("8.3.1 a method with a space", &[(b":method", b"GET /"), SCHEME, AUTHORITY, PATH]),
        without("8.3.1 an empty scheme", &[METHOD, (b":scheme", b""), AUTHORITY, PATH]),
        without("8.3.1 a scheme that is none", &[METHOD, (b":scheme", b"ht tp"), AUTHORITY, PATH]),
        with("8.3.1 two methods", &[METHOD]),
        with("8.3.1 two schemes", &[SCHEME]),
        with("8.3.1 two paths", &[PATH]),
        with("8.3.1 two authorities", &[AUTHORITY]),
        without("8.5 CONNECT with a path", &[CONNECT, AUTHORITY, PATH]),
        without("8.5 CONNECT with a scheme", &[CONNECT, AUTHORITY, SCHEME]),
        without("8.5 CONNECT with a scheme and a path", &[CONNECT, SCHEME, AUTHORITY, PATH]),
        without("8.5 CONNECT without an authority", &[CONNECT]),
        with("RFC 8441 4 a protocol without CONNECT", &[(b":protocol", b"websocket")]),
    ]
}

fn hosts() -> Vec<Case> {
    let elsewhere = |authority: &'static [u8]| [METHOD, SCHEME, (&b":authority"[..], authority), PATH];
    vec![
        with("8.3.1 a Host that is another than the authority", &[(b"host", b"elsewhere.test")]),
        with("8.3.1 two Host", &[(b"host", b"site.test"), (b"host", b"site.test")]),
        without("8.3.1 no authority and no Host", &[METHOD, SCHEME, PATH]),
        without(
            "8.3.1 no authority and two Host",
            &[METHOD, SCHEME, PATH, (b"host", b"site.test"), (b"host", b"elsewhere.test")],
        ),
        without("8.3.1 an empty authority", &elsewhere(b"")),
        without("8.3.1 a user in the authority", &elsewhere(b"jane@site.test")),
        without("8.3.1 an authority with a path", &elsewhere(b"site.test/public")),
        without("8.3.1 an authority with a space", &elsewhere(b"site.test x")),
        case("8.3.1 a Host in place of the authority")
            .say(&request(&[METHOD, SCHEME, (b":path", OPEN.as_bytes()), (b"host", b"site.test")]))
            .then(Expect::Answered(1)),
        case("8.3.1 a Host that says what the authority says")
            .say(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &post(OPEN, &[(b"host", b"site.test")])))
            .then(Expect::Answered(1)),
    ]
}
