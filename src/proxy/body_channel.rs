//! A request's body on its way to a connection that has tasks of its own.
//!
//! A visitor's body is read by whoever answers the visitor, and by nobody else: reading it is how it
//! is found out that the visitor has left. So the task that answers gives piece by piece to the task
//! that sends, one at a time; and when it is dropped, the request is taken back.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::request_body::RequestBody;
use crate::http::body::{BodyError, Polled};

/// The two ends of a channel through which `body` goes.
pub(super) fn body_channel(body: RequestBody) -> (BodySender, BodyReceiver) {
    let table = Rc::<RefCell<Table>>::default();
    let (is_none, size) = (body.is_end_stream(), body.size_hint());
    table.borrow_mut().end = if is_none { End::Reached } else { End::ToCome };
    (BodySender { body, table: Rc::clone(&table) }, BodyReceiver { table, size })
}

/// What lies between the two.
#[derive(Default)]
struct Table {
    piece: Option<Frame<Bytes>>,
    end: End,
    body_sender: Option<Waker>,
    body_receiver: Option<Waker>,
}

#[derive(Default)]
enum End {
    #[default]
    ToCome,
    Reached,
    /// The request is taken back.
    Never,
}

/// Reads the body.
pub(super) struct BodySender {
    body: RequestBody,
    table: Rc<RefCell<Table>>,
}

impl BodySender {
    /// Gives what can be given.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            {
                let mut table = self.table.borrow_mut();
                if !matches!(table.end, End::ToCome) {
                    return;
                }
                if table.piece.is_some() {
                    note(&mut table.body_sender, cx);
                    return;
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else { return };
            let mut table = self.table.borrow_mut();
            match frame {
                Some(Ok(piece)) => table.piece = Some(piece),
                // Whose fault it is the body itself has told.
                Some(Err(_)) => table.end = End::Never,
                None => table.end = End::Reached,
            }
            table.body_receiver.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        let mut table = self.table.borrow_mut();
        if matches!(table.end, End::ToCome) {
            table.end = End::Never;
            table.body_receiver.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// The body as it is sent.
pub(super) struct BodyReceiver {
    table: Rc<RefCell<Table>>,
    size: SizeHint,
}

impl BodyReceiver {
    /// A body that is none.
    pub(super) fn of_none() -> Self {
        let table = Table { end: End::Reached, ..Table::default() };
        Self { table: Rc::new(RefCell::new(table)), size: SizeHint::with_exact(0) }
    }
}

impl Body for BodyReceiver {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let mut table = self.table.borrow_mut();
        if let Some(piece) = table.piece.take() {
            table.body_sender.take().into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(Ok(piece)));
        }
        match table.end {
            End::Reached => Poll::Ready(None),
            End::Never => Poll::Ready(Some(Err(h2::Error::from(h2::Reason::CANCEL).into()))),
            End::ToCome => {
                note(&mut table.body_receiver, cx);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let table = self.table.borrow();
        table.piece.is_none() && matches!(table.end, End::Reached)
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

fn note(waker: &mut Option<Waker>, cx: &Context<'_>) {
    if waker.as_ref().is_none_or(|own| !own.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}
