//! Requests as part of something larger: W3C Trace Context, and spans for `OpenTelemetry`.
//!
//! Most requests are not recorded. What those cost is a handful of instructions, and nothing at all where
//! spans go nowhere.

mod context;
mod exporter;
mod otlp;
mod span;

pub use context::{Parent, TRACEPARENT, TRACESTATE};
pub use exporter::{Exporter, SpanFigures};
pub use span::{Asked, Finished, Gist};

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use http::HeaderMap;

use crate::config::TraceTrust;
use crate::domain::entropy::Entropy;
use crate::http::client::Client;
use crate::http::h1::Fields;
use context::has_good_state;

/// What there is to know of a request's trace.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    /// What the upstream is told that it comes from.
    told: Parent,
    /// The span of whoever sent the request, if that is known and believed.
    caller: Option<u64>,
    /// The gateway's own span; `None` if it makes none.
    own: Option<u64>,
    /// Whether what came is passed on as it is.
    is_passed_on: bool,
}

impl Traced {
    /// The trace.
    pub fn id(&self) -> u128 {
        self.told.trace
    }

    /// Whether its spans are recorded here.
    pub fn is_recorded(&self) -> bool {
        self.own.is_some() && self.told.is_sampled
    }

    /// Tells the upstream; `came` are the fields of the request, of which none is passed on otherwise.
    pub fn tell(&self, came: &HeaderMap, fields: &mut impl Fields) {
        if self.is_passed_on {
            came.get_all(TRACEPARENT).into_iter().for_each(|line| fields.put(&TRACEPARENT, line));
        } else {
            fields.put_text(&TRACEPARENT, &self.told.write());
        }
        // It means nothing without the `traceparent` that it came with.
        if self.caller.is_some() && has_good_state(came) {
            came.get_all(TRACESTATE).into_iter().for_each(|line| fields.put(&TRACESTATE, line));
        }
    }
}

/// One worker's part in traces.
pub struct Tracer {
    trust: TraceTrust,
    recorder: Option<Recorder>,
}

struct Recorder {
    exporter: Arc<Exporter>,
    /// Of traces that begin here, those are recorded whose last seven bytes are below this.
    bound: u64,
    random: Cell<u64>,
    finished: RefCell<Vec<Finished>>,
}

/// The part of a trace's name that decides, as all services of a trace are to decide the same: the last
/// seven bytes, which are random (Trace Context Level 2, §2.2.2.3).
const RANDOM: u64 = (1 << 56) - 1;

/// Spans that a worker hands in at once, whatever the time.
const MANY: usize = 128;

impl Tracer {
    /// Believes those whom `trust` names, and records what the `exporter` wants, if there is one.
    pub fn new(trust: TraceTrust, exporter: Option<&Arc<Exporter>>, entropy: &dyn Entropy) -> Self {
        let recorder = exporter.map(|exporter| {
            let mut seed = [0; 8];
            entropy.fill(&mut seed);
            Recorder {
                bound: bound(exporter.sample()),
                exporter: Arc::clone(exporter),
                random: Cell::new(u64::from_le_bytes(seed)),
                finished: RefCell::default(),
            }
        });
        Self { trust, recorder }
    }

    /// The trace that a request of `client` with these `headers` belongs to; `None` if there is none.
    pub fn take_up(&self, headers: &HeaderMap, client: &Client) -> Option<Traced> {
        let is_believed = match self.trust {
            TraceTrust::Any => true,
            TraceTrust::Proxies => client.by_trusted_proxy,
            TraceTrust::None => false,
        };
        let parent = if is_believed { Parent::of(headers) } else { None };
        let caller = parent.map(|parent| parent.span);
        let Some(recorder) = &self.recorder else {
            let told = parent?;
            return Some(Traced { told, caller, own: None, is_passed_on: true });
        };
        let (trace, is_sampled) = if let Some(parent) = parent {
            (parent.trace, parent.is_sampled)
        } else {
            let low = recorder.number();
            (u128::from(recorder.number()) << 64 | u128::from(low), low & RANDOM < recorder.bound)
        };
        let told = Parent { trace, span: recorder.number(), is_sampled };
        let own = Some(if is_sampled { recorder.number() } else { told.span });
        Some(Traced { told, caller, own, is_passed_on: false })
    }

    /// Keeps what there is to tell of a request that is over.
    pub fn finish(&self, finished: Finished) {
        let Some(recorder) = &self.recorder else { return };
        let mut all = recorder.finished.borrow_mut();
        all.push(finished);
        let are_many = all.len() >= MANY;
        drop(all);
        if are_many {
            self.hand_in();
        }
    }

    /// Hands in what is finished: to be called now and then.
    pub fn hand_in(&self) {
        if let Some(recorder) = &self.recorder {
            let finished = recorder.finished.take();
            if !finished.is_empty() {
                recorder.exporter.put(finished);
            }
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.hand_in();
    }
}

impl Recorder {
    /// A number that is not 0, and that hardly anybody else has (`SplitMix64`): names of spans need not be
    /// hard to guess.
    fn number(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }
}

/// Below which number this part of all numbers of seven bytes lies.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "from 0 to 2^56, which a float holds exactly"
)]
fn bound(sample: f64) -> u64 {
    ((RANDOM + 1) as f64 * sample.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_lies_where_the_part_does() {
        for (sample, expected) in
            [(0.0, 0), (1.0, RANDOM + 1), (0.5, 1 << 55), (f64::NAN, 0), (7.0, RANDOM + 1)]
        {
            assert_eq!(bound(sample), expected, "{sample}");
        }
    }
}
