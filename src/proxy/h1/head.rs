//! The head of a request as it is written.

use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};

use super::Upload;
use crate::proxy::request_body::RequestBody;

/// Bytes that a head rarely exceeds.
const USUAL: usize = 1024;

/// A request's head, field by field, in the form in which it is sent.
#[derive(Debug)]
pub(in crate::proxy) struct Head(Vec<u8>);

impl Head {
    /// Begins with the request line.
    pub(in crate::proxy) fn new(method: &Method, target: &Uri) -> Self {
        let mut line = Vec::with_capacity(USUAL);
        line.extend_from_slice(method.as_str().as_bytes());
        line.push(b' ');
        line.extend_from_slice(target.path().as_bytes());
        if let Some(query) = target.query() {
            line.push(b'?');
            line.extend_from_slice(query.as_bytes());
        }
        line.extend_from_slice(b" HTTP/1.1\r\n");
        Self(line)
    }

    /// Its fields, as far as they are there.
    pub(in crate::proxy) fn fields(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Ends it with the field that says how long `body` is, and the empty line.
    pub(in crate::proxy) fn with(mut self, body: RequestBody) -> Upload {
        body.framing().put(&mut self.0);
        self.0.extend_from_slice(b"\r\n");
        Upload::new(self.0, body.framing(), body)
    }
}

/// Names another host in a head, in which Host comes first.
pub(in crate::proxy) fn readdress(head: &mut Vec<u8>, host: &HeaderValue) {
    let mut ends = memchr::memmem::find_iter(head, b"\r\n");
    if let (Some(line), Some(field)) = (ends.next(), ends.next()) {
        let field_of_host = [b"\r\nhost: ", host.as_bytes()].concat();
        head.splice(line..field, field_of_host);
    }
}

/// Gives a field another value, if a head has it.
pub(in crate::proxy) fn replace(head: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    // No value has a line end in it.
    let start = [b"\r\n", name.as_str().as_bytes(), b": "].concat();
    let Some(at) = memchr::memmem::find(head, &start) else { return };
    let from = at + start.len();
    let length = head.get(from..).and_then(|rest| memchr::memmem::find(rest, b"\r\n"));
    if let Some(length) = length {
        head.splice(from..from + length, value.as_bytes().iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::Fields as _;

    #[test]
    fn a_name_keeps_the_case_in_which_it_was_written() {
        let mut head = Head::new(&Method::GET, &Uri::from_static("/"));
        head.fields().put_as(&HeaderName::from_static("remote_user"), "REMOTE_USER", b"jane");
        assert_eq!(String::from_utf8(head.0).unwrap(), "GET / HTTP/1.1\r\nREMOTE_USER: jane\r\n");
    }

    #[test]
    fn a_head_can_be_made_out_to_another_host() {
        let mut head = Head::new(&Method::GET, &Uri::from_static("/a?b"));
        head.fields().put(&http::header::HOST, &HeaderValue::from_static("one:9000"));
        head.fields().put(&http::header::ACCEPT, &HeaderValue::from_static("*/*"));
        readdress(&mut head.0, &HeaderValue::from_static("another"));
        let expected = "GET /a?b HTTP/1.1\r\nhost: another\r\naccept: */*\r\n";
        replace(&mut head.0, &http::header::ACCEPT, &HeaderValue::from_static("text/html"));
        replace(&mut head.0, &http::header::COOKIE, &HeaderValue::from_static("none"));
        let expected = expected.replace("*/*", "text/html");
        assert_eq!(String::from_utf8(head.0).unwrap(), expected);
    }
}
