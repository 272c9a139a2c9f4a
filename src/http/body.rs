//! Response bodies: made here, or streamed through.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::h2_head::has_bare_values;
use super::private_caching::PrivateCaching;
use super::tunnel::Tunnel;
use super::watch::Deadline;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

const BROKEN_OFF: &str = "the request was reset before its end";

/// What there is for who asks a body for its next piece; `None` is its end.
pub type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// The body of a request, whatever protocol it comes in.
#[derive(Default)]
pub enum Incoming {
    /// There is none.
    #[default]
    None,
    /// It comes over HTTP/2.
    Http2(hyper::body::Incoming),
    /// It comes over HTTP/1.1.
    Http1(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match self.get_mut() {
            Self::None => Poll::Ready(None),
            Self::Http2(body) => Poll::Ready(match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(frame) => Some(frame.map_err(Into::into).and_then(well_formed)),
                // hyper takes what was reset with NO_ERROR for complete, as an answer may be. Of a request
                // only END_STREAM is the end (RFC 9113 §8.1), and this is true if that has come.
                None if !body.is_end_stream() => Some(Err(BROKEN_OFF.into())),
                None => None,
            }),
            Self::Http1(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Http2(body) => body.is_end_stream(),
            Self::Http1(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Http2(body) => body.size_hint(),
            Self::Http1(body) => body.size_hint(),
        }
    }
}

/// What holds for a head holds for trailers: the request is malformed, even if it is known late.
fn well_formed(frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
    match frame.trailers_ref() {
        Some(trailers) if !has_bare_values(trailers) => Err("white space around a trailer's value".into()),
        _ => Ok(frame),
    }
}

/// A response body, and what is to be said before it.
pub struct Body {
    content: Content,
    caching: Option<&'static PrivateCaching>,
}

enum Content {
    /// Made by the gateway; `None` once it is sent.
    Whole(Option<Bytes>),
    /// None: with 101, the connection becomes another protocol's; `None` once that is taken care of.
    Tunnel(Option<Tunnel>),
    /// Passed on from somewhere as it comes; if it runs on the strength of a session, whoever sends
    /// it is to look at that.
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>, Option<Rc<Deadline>>),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Content::Whole(None).into()
    }

    /// None, as the connection is to become another protocol's.
    pub fn tunnel(tunnel: Tunnel) -> Self {
        Content::Tunnel(Some(tunnel)).into()
    }

    /// The same, before which these fields are to be said as well.
    #[must_use]
    pub fn with_caching(self, caching: Option<&'static PrivateCaching>) -> Self {
        Self { caching, ..self }
    }

    /// Fields that are to be said besides those of the answer: whoever writes its head says them.
    pub fn caching(&self) -> Option<&'static PrivateCaching> {
        self.caching
    }

    /// What is to be done with the connection, if the answer changes its protocol.
    pub fn take_tunnel(&mut self) -> Option<Tunnel> {
        match &mut self.content {
            Content::Tunnel(tunnel) => tunnel.take(),
            Content::Whole(_) | Content::Stream(..) => None,
        }
    }

    /// A body that is passed on as it comes.
    pub fn stream(body: impl http_body::Body<Data = Bytes, Error = BodyError> + 'static) -> Self {
        Content::Stream(Box::pin(body), None).into()
    }

    /// The same, which is to end together with the session that `bond` is bound to.
    pub fn bound_stream(
        body: impl http_body::Body<Data = Bytes, Error = BodyError> + 'static,
        bond: Rc<Deadline>,
    ) -> Self {
        Content::Stream(Box::pin(body), Some(bond)).into()
    }

    /// Where it is seen that the session is over on whose strength it is sent. A client that does
    /// not take it is no reason for it to last longer, so it is not enough to read the body.
    pub fn bond(&self) -> Option<&Rc<Deadline>> {
        match &self.content {
            Content::Stream(_, bond) => bond.as_ref(),
            Content::Whole(_) | Content::Tunnel(_) => None,
        }
    }
}

impl From<Content> for Body {
    fn from(content: Content) -> Self {
        Self { content, caching: None }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(whole: T) -> Self {
        let whole = whole.into();
        Content::Whole((!whole.is_empty()).then_some(whole)).into()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.get_mut().content {
            Content::Whole(whole) => Poll::Ready(whole.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Tunnel(_) => Poll::Ready(None),
            Content::Stream(body, _) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(whole) => whole.is_none(),
            Content::Tunnel(_) => true,
            Content::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(whole) => {
                SizeHint::with_exact(whole.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Tunnel(_) => SizeHint::with_exact(0),
            Content::Stream(body, _) => body.size_hint(),
        }
    }
}

/// Why a small body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadFault {
    /// It is longer than it may be.
    #[error("the body is too long")]
    TooLong,
    /// It broke off, or its framing is wrong.
    #[error("the body broke off")]
    Broken,
    /// It did not come in time.
    #[error("the body did not come in time")]
    TooSlow,
}

/// Who sends a small body sends it at once.
const READ_TIME: Duration = Duration::from_secs(10);

/// Reads a small body whole, of at most `limit` bytes and within ten seconds.
pub async fn read_up_to<B>(body: B, limit: usize) -> Result<Bytes, ReadFault>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    // Who says so beforehand need not send it, nor wait until we no longer do.
    if body.size_hint().lower() > limit as u64 {
        return Err(ReadFault::TooLong);
    }
    let whole = http_body_util::Limited::new(body, limit).collect();
    let read = tokio::time::timeout(READ_TIME, whole).await.map_err(|_| ReadFault::TooSlow)?;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() { ReadFault::TooLong } else { ReadFault::Broken }
    })
}
