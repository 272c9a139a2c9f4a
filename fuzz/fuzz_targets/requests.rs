//! It does not matter in which pieces a request comes, and whatever is taken for one is one for
//! httparse as well, with the same end and the same fields.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tollgate::http::h1::{Chunked, HeadReader, Length, Piece};

const ROOM: usize = 4096;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (bytes, pieces) = input;
    let whole = read(bytes, &[]);
    assert_eq!(read(bytes, pieces), whole, "in pieces of {pieces:?}: {}", bytes.escape_ascii());
    assert_eq!(read(bytes, &[0]), whole, "byte by byte: {}", bytes.escape_ascii());
});

/// What came of the first request: its fields, its body, and whether it was refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    fields: Option<usize>,
    body: Vec<u8>,
    is_refused: bool,
}

/// Reads `bytes` in pieces that are one longer than these, over and over; or at once, if there are
/// none.
fn read(bytes: &[u8], pieces: &[u8]) -> Outcome {
    let (mut incoming, mut came, mut outcome) = (BytesMut::new(), 0, Outcome::default());
    let (mut heads, mut chunked) = (HeadReader::default(), None::<Chunked>);
    let mut pieces = pieces.iter().cycle();
    while came < bytes.len() {
        let next = pieces.next().map_or(bytes.len(), |piece| (came + 1 + usize::from(*piece)).min(bytes.len()));
        incoming.extend_from_slice(&bytes[came..next]);
        came = next;
        if outcome.fields.is_none() {
            match heads.take(&mut incoming, ROOM) {
                Ok(None) => continue,
                Err(_) => return Outcome { is_refused: true, ..outcome },
                Ok(Some(head)) => {
                    is_read_alike(&bytes[..came - incoming.len()], head.parts.headers.len());
                    outcome.fields = Some(head.parts.headers.len());
                    match head.length {
                        Length::Known(_) => return outcome,
                        Length::Chunked => chunked = Some(Chunked::default()),
                    }
                }
            }
        }
        let Some(chunks) = &mut chunked else { return outcome };
        while let std::task::Poll::Ready(piece) = chunks.take(&mut incoming) {
            match piece {
                Ok(Piece::Data(data)) => outcome.body.extend_from_slice(&data),
                Ok(Piece::Trailers(_)) => {}
                Ok(Piece::End) => return outcome,
                Err(_) => return Outcome { is_refused: true, ..outcome },
            }
        }
    }
    outcome
}

fn is_read_alike(head: &[u8], count: usize) {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(head);
    assert_eq!(parsed, Ok(httparse::Status::Complete(head.len())), "{}", head.escape_ascii());
    assert_eq!(request.headers.len(), count, "{}", head.escape_ascii());
}
