//! The head of an answer, and where its body ends.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, StatusCode};

use super::Fault;
use crate::http::connection::{is_chunked, is_hop_by_hop, nominated};
use crate::http::digits::decimal;
use crate::http::h1::{
    FieldCache, FramingFault, end_of_head, fields_in, first_line, has_bare_line_end, may_have_body,
};
use crate::http::response_fields::is_label;

/// The longest head that an upstream may send.
const MAX_BYTES: usize = 256 * 1024;

/// Fields that an upstream may send: large sites have been seen with more than a hundred.
const MAX_FIELDS: usize = 256;

/// What came back, without the fields that concern the connection alone. Only where the upstream switches
/// protocols, and says so in `Connection`, there is `Upgrade`.
#[derive(Debug)]
pub(in crate::proxy) struct Answer {
    pub(in crate::proxy) status: StatusCode,
    pub(in crate::proxy) headers: HeaderMap,
    pub(super) ending: Ending,
    /// Whether the upstream goes on with this connection afterwards.
    pub(super) persists: bool,
}

/// Where an answer's body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// After so many more bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Closed,
}

/// Takes the next head from the front of `incoming`, once it is complete. `to_head` says that HEAD
/// was asked, and `fields` are those of the connection so far.
pub(super) fn take(
    incoming: &mut BytesMut,
    to_head: bool,
    fields: &mut FieldCache,
) -> Result<Option<Answer>, Fault> {
    match end_of_head(incoming, 0) {
        Some(end) if end <= MAX_BYTES => {
            let head = incoming.split_to(end).freeze();
            let (line, lines) = first_line(&head)?;
            let said = status_line(line).ok_or(Fault::Malformed("its status line is malformed"))?;
            read(said, to_head, (lines, &head), fields).map(Some)
        }
        None if has_bare_line_end(incoming, 0) => Err(Fault::Framing(FramingFault::Control)),
        None if incoming.len() < MAX_BYTES => Ok(None),
        _ => Err(Fault::Malformed("its head is too long")),
    }
}

/// The status, and whether it is said in HTTP/1.1 (RFC 9112 §4), as which a later HTTP/1 is read (RFC 9110 §2.5).
/// What is said about it is lost: "a client SHOULD ignore the reason-phrase content".
fn status_line(line: &[u8]) -> Option<(StatusCode, bool)> {
    let (minor, rest) = line.strip_prefix(b"HTTP/1.")?.split_at_checked(1)?;
    let speaks_11 = match minor {
        b"0" => false,
        [b'1'..=b'9'] => true,
        _ => return None,
    };
    let (status, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let is_plain = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    let is_over = matches!(reason, [] | [b' ', ..]) && reason.iter().all(is_plain);
    StatusCode::from_bytes(status).ok().filter(|_| is_over).map(|status| (status, speaks_11))
}

/// Reads the `lines` of `head` behind the first one.
fn read(
    (status, speaks_11): (StatusCode, bool),
    to_head: bool,
    (lines, head): (&[u8], &Bytes),
    fields: &mut FieldCache,
) -> Result<Answer, Fault> {
    let mut headers = HeaderMap::with_capacity(fields_in(lines));
    let (mut length, mut chunked) = (None, false);
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    let (mut options, mut protocols) = (Vec::new(), Vec::new());
    let mut rest = lines;
    while let Some((name, value, behind)) = fields.field(rest, head)? {
        rest = behind;
        if headers.len() == MAX_FIELDS {
            return Err(Fault::Malformed("it has too many fields"));
        }
        if name == CONTENT_LENGTH {
            // Several are several ways to read it, even if they agree.
            if length.replace(decimal(value.as_bytes()).ok_or(Fault::Ambiguous)?).is_some() {
                return Err(Fault::Ambiguous);
            }
        } else if name == TRANSFER_ENCODING {
            if chunked || !is_chunked(&value) || !speaks_11 {
                return Err(Fault::Ambiguous);
            }
            chunked = true;
            continue;
        } else if name == CONNECTION {
            if !value.as_bytes().eq_ignore_ascii_case(b"keep-alive") {
                options.extend(nominated(&value));
            }
            continue;
        } else if switches && name == UPGRADE {
            protocols.push(value);
            continue;
        } else if is_hop_by_hop(&name) {
            continue;
        }
        headers.append(name, value);
    }
    fields.end(lines);
    let is_closing = options.iter().any(|option| option == "close");
    // What says for whom an answer is concerns this end of the connection: naming it there does not
    // make it an answer for everybody.
    for option in options.iter().filter(|option| !is_label(option)) {
        headers.remove(option);
    }
    // To which protocol it switches is for whoever asked for it to judge, if this is what it says.
    if options.contains(&UPGRADE) {
        headers.extend(protocols.into_iter().map(|protocol| (UPGRADE, protocol)));
    }
    let has_no_body = !may_have_body(status, to_head);
    let (ending, is_sure) = match (chunked, length) {
        // It may be an attempt at smuggling (RFC 9112 §6.3), even where there can be no body.
        (true, Some(_)) => return Err(Fault::Ambiguous),
        // What announces a body where there can be none may well send it, a moment later: many an
        // application answers HEAD as if it were GET.
        (false, None | Some(0)) if has_no_body => (Ending::Length(0), true),
        _ if has_no_body => (Ending::Length(0), false),
        (false, None) => (Ending::Closed, false),
        (false, Some(length)) => (Ending::Length(length), true),
        (true, None) => (Ending::Chunked, true),
    };
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    Ok(Answer { status, headers, ending, persists: is_sure && speaks_11 && !is_closing })
}
