//! Why a connection is not read any further.

use http::StatusCode;

/// What was refused. The connection ends with it, since nobody can say where another request would
/// begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingFault {
    /// Not a method, one space, a target in visible ASCII, one space and a version.
    #[error("the request line is malformed")]
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// The target, or what there is of the request line, is longer than it may be.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The head is longer than it may be, or has more fields.
    #[error("the request head is too long")]
    HeadTooLong,
    /// A line that does not end in CRLF, or has a control character: bare CR and NUL among them.
    #[error("the request head has a control character or a bare line end")]
    Control,
    /// No name, no colon, something between the two, or a folded line.
    #[error("a header field is malformed")]
    Field,
    /// Two `Host` fields, or none in HTTP/1.1.
    #[error("there has to be one Host field")]
    Host,
    /// Not one `Content-Length` in plain digits.
    #[error("the Content-Length is malformed or repeated")]
    Length,
    /// A `Transfer-Encoding` that is repeated, malformed, does not end in `chunked`, or is said in
    /// HTTP/1.0.
    #[error("the Transfer-Encoding is malformed or repeated")]
    Coding,
    /// `chunked` behind other codings, well-formed.
    #[error("the transfer coding is not supported")]
    UnknownCoding,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error("the length is given in two ways")]
    TwoLengths,
    /// In a body: a chunk's size, extension or end.
    #[error("a chunk of the body is malformed")]
    Chunk,
    /// Behind a body: the trailers.
    #[error("the trailers are malformed or too long")]
    Trailer,
    /// Bytes that came before an upgrade was refused.
    #[error("bytes came before the upgrade was answered")]
    Early,
}

impl FramingFault {
    /// The status of the answer, if there can be one.
    pub fn status(self) -> StatusCode {
        match self {
            Self::RequestLine
            | Self::Control
            | Self::Field
            | Self::Host
            | Self::Length
            | Self::Coding
            | Self::TwoLengths
            | Self::Chunk
            | Self::Trailer
            | Self::Early => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// What to write before the connection is closed, once all requests before are answered. `None`
    /// if that is not for us to say: if the fault is in a body, whoever answers its request meets a
    /// body that breaks off; and bytes that came too early are not even a request.
    pub fn answer(self) -> Option<&'static [u8]> {
        macro_rules! closing {
            ($status:literal) => {
                concat!("HTTP/1.1 ", $status, "\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes()
            };
        }
        match self {
            Self::Chunk | Self::Trailer | Self::Early => None,
            Self::RequestLine
            | Self::Control
            | Self::Field
            | Self::Host
            | Self::Length
            | Self::Coding
            | Self::TwoLengths => Some(closing!("400 Bad Request")),
            Self::TargetTooLong => Some(closing!("414 URI Too Long")),
            Self::HeadTooLong => Some(closing!("431 Request Header Fields Too Large")),
            Self::UnknownCoding => Some(closing!("501 Not Implemented")),
            Self::Version => Some(closing!("505 HTTP Version Not Supported")),
        }
    }
}
