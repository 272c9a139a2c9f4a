//! An answer's body on its way in.

use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::Fault;
use super::answer::Ending;
use crate::http::h1::{Chunked, Piece};

/// How much more there is of a body.
#[derive(Debug)]
pub(super) enum Download {
    Length(u64),
    Chunked(Chunked),
    Closed,
    Done,
}

/// What can be had of a body without reading on.
pub(super) enum Next {
    Frame(Frame<Bytes>),
    End,
}

impl Download {
    pub(super) fn of(ending: Ending) -> Self {
        match ending {
            Ending::Length(0) => Self::Done,
            Ending::Length(length) => Self::Length(length),
            Ending::Chunked => Self::Chunked(Chunked::default()),
            Ending::Closed => Self::Closed,
        }
    }

    /// Takes the next piece from the front of `incoming`; pending if more has to be read first.
    pub(super) fn take(&mut self, incoming: &mut BytesMut) -> Poll<Result<Next, Fault>> {
        let data = match self {
            Self::Done => return Poll::Ready(Ok(Next::End)),
            Self::Chunked(chunks) => {
                let Poll::Ready(piece) = chunks.take(incoming)? else { return Poll::Pending };
                return Poll::Ready(Ok(match piece {
                    Piece::Data(data) => Next::Frame(Frame::data(data)),
                    // Nobody asks for what comes behind them, as there is nothing.
                    Piece::Trailers(trailers) => {
                        *self = Self::Done;
                        Next::Frame(Frame::trailers(trailers))
                    }
                    Piece::End => {
                        *self = Self::Done;
                        Next::End
                    }
                }));
            }
            _ if incoming.is_empty() => return Poll::Pending,
            Self::Closed => incoming.split().freeze(),
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(incoming.len());
                *left -= here as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                incoming.split_to(here).freeze()
            }
        };
        Poll::Ready(Ok(Next::Frame(Frame::data(data))))
    }

    /// What it means that the upstream closed the connection now.
    pub(super) fn close(&mut self) -> Result<(), Fault> {
        match self {
            Self::Closed | Self::Done => {
                *self = Self::Done;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(Fault::Truncated),
        }
    }

    /// How much to make room for before reading on: more than will come, since a read that fills its room
    /// is followed by another to see whether there is more.
    pub(super) fn appetite(&self) -> usize {
        const LEAST: usize = 4 * 1024;
        const MOST: usize = 64 * 1024;
        match self {
            Self::Length(left) => usize::try_from(*left).unwrap_or(MOST).clamp(LEAST, MOST) + 1,
            Self::Chunked(chunked) => {
                usize::try_from(chunked.data_left()).unwrap_or(MOST).saturating_add(LEAST).min(MOST)
            }
            Self::Closed | Self::Done => MOST / 4,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Done => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::Closed => SizeHint::default(),
        }
    }
}
