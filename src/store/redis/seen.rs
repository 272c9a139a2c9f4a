//! When sessions were last used: noted here at once, and written down in the Redis a little later,
//! many at a time, so that no request has to wait for that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::trouble::Trouble;
use super::{Inner, keys, number, scripts};
use crate::domain::clock::Timestamp;
use crate::domain::session::LiveSession;

/// How long a use may wait to be written down, at least and at most, and which part of the idle time.
const LEAST: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(5);
const PART: u32 = 20;

/// How much later than the Redis knows a session may have been used: what waits to be written down
/// elsewhere, and the writing.
pub(super) const BEHIND: Duration = Duration::from_secs(6);

/// How many are written down at a time.
const BATCH: usize = 256;

/// How long to wait before what could not be written down is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// What is to be done.
pub(super) enum Due {
    /// To write down when this one was last used.
    Seen(Arc<LiveSession>),
    /// To write down all that waits, and to say when that is done.
    Everything(oneshot::Sender<()>),
}

/// Writes down what comes for as long as the thread lives.
pub(super) async fn write_down(inner: Arc<Inner>, mut heard: UnboundedReceiver<Due>) {
    let mut waiting: Vec<Arc<LiveSession>> = Vec::new();
    while let Some(first) = heard.recv().await {
        let mut asked = None;
        let mut deadline = Instant::now() + MOST;
        let mut next = Some(first);
        while let Some(due) = next {
            match due {
                Due::Seen(live) => {
                    let part = Duration::from(live.session.idle) / PART;
                    deadline = deadline.min(Instant::now() + part.clamp(LEAST, MOST));
                    waiting.push(live);
                }
                Due::Everything(done) => {
                    asked = Some(done);
                    break;
                }
            }
            next = timeout_at(deadline, heard.recv()).await.ok().flatten();
        }
        while !waiting.is_empty() {
            let batch: Vec<_> = waiting.split_off(waiting.len().saturating_sub(BATCH));
            let mut failed = false;
            let written = join_all(batch.iter().map(|live| inner.write_seen(live))).await;
            for (live, written) in batch.into_iter().zip(written) {
                let Err(trouble) = written else { continue };
                let _ = inner.exchange.complain(trouble);
                // Whatever is the matter may pass, unless it is the session itself. If it was used
                // again meanwhile, it comes again anyway.
                if trouble != Trouble::Damaged && live.note_unsaved() {
                    waiting.push(live);
                    failed = true;
                }
            }
            if failed {
                sleep(PAUSE).await;
            }
        }
        // Whoever asked may be gone.
        let _ = asked.map(|done| done.send(()));
    }
}

impl Inner {
    /// When a session was last seen, to be written at `place`.
    pub(super) fn seal_seen(&self, place: &str, seen: Timestamp) -> Vec<u8> {
        self.seal.close(&seen_place(place), &seen.as_millis().to_string())
    }

    /// Reads what [`Self::seal_seen`] makes.
    pub(super) fn read_seen(&self, place: &str, sealed: &[u8]) -> Result<Timestamp, Trouble> {
        let (_, content) = self.seal.open(&seen_place(place), sealed)?;
        let millis = std::str::from_utf8(content).ok().and_then(|text| text.parse().ok());
        millis.map(Timestamp::from_millis).ok_or(Trouble::Damaged)
    }

    async fn write_seen(&self, live: &Arc<LiveSession>) -> Result<(), Trouble> {
        let seen = live.take_unsaved();
        let place = keys::session(&live.hash);
        let keep = self.keep_until(live.ends_at()).to_string();
        let arguments = [self.seal_seen(&place, seen), keep.into_bytes()];
        let places = [place.as_str()];
        let writing = scripts::SEEN.run(&self.exchange, &places, &arguments);
        let (answer, ()) = join(writing, self.count_on(live)).await;
        let answer = answer?;
        if number(&answer)? == 0 {
            // It was taken out of the Redis by somebody who told nobody.
            self.near.note_lost(live);
        }
        Ok(())
    }
}

fn seen_place(session: &str) -> String {
    format!("{session} seen")
}
