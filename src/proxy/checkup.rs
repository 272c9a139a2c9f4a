//! Asking upstreams how they are. It is done once for the whole process, whatever the number of
//! workers: upstreams have better things to do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::ProxyError;
use super::connect::connect;
use super::fleet::{Fleet, Member};
use super::http2::{OnThisThread, whole};
use super::names::Names;
use super::stream::Stream;
use crate::config::HealthCheck;
use crate::domain::clock::Clock;
use crate::domain::entropy::{Entropy, dice};
use crate::http::watch::TICK;

/// Who asks.
const ASKING: HeaderValue =
    HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"), " (health check)"));

/// All upstreams that are to be asked.
pub struct Checkups {
    asked: Vec<Rc<Asked>>,
    clock: Arc<dyn Clock>,
    dice: RefCell<SmallRng>,
    now: Cell<u64>,
}

/// An upstream that is asked regularly.
struct Asked {
    fleet: Arc<Fleet>,
    member: Arc<Member>,
    check: HealthCheck,
    names: Names,
    /// The tick at which it is asked next.
    due: Cell<u64>,
    is_busy: Cell<bool>,
    /// Good answers in a row, and bad ones.
    good: Cell<usize>,
    bad: Cell<usize>,
}

impl Checkups {
    /// For the upstreams of `fleets` that want it.
    pub fn new(fleets: &[Arc<Fleet>], clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        let fleets = fleets.iter().filter_map(|fleet| Some((fleet, fleet.health.as_ref()?)));
        let asked = fleets.flat_map(|(fleet, check)| {
            fleet.members.iter().map(move |member| Rc::new(Asked::new(fleet, member, check)))
        });
        Self { asked: asked.collect(), clock, dice: RefCell::new(dice(entropy)), now: Cell::new(0) }
    }

    /// Asks those whose time has come: to be called once for each [`TICK`], on a thread that runs
    /// local tasks.
    pub fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        for asked in self.asked.iter().filter(|asked| asked.due.get() <= now) {
            // A little at random, so that not all are asked at the same moment for ever.
            let interval = asked.check.interval;
            let spread = self.dice.borrow_mut().random_range(0..=ticks(interval / 10));
            asked.due.set(now + ticks(interval) + spread);
            if !asked.is_busy.replace(true) {
                let (asked, clock) = (Rc::clone(asked), Arc::clone(&self.clock));
                tokio::task::spawn_local(async move {
                    let found = tokio::time::timeout(asked.check.timeout, asked.find_out(&*clock)).await;
                    if let Some(is_good) = found.unwrap_or(Some(false)) {
                        asked.conclude(is_good);
                    }
                    asked.is_busy.set(false);
                });
            }
        }
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX)
}

impl Asked {
    fn new(fleet: &Arc<Fleet>, member: &Arc<Member>, check: &HealthCheck) -> Self {
        Self {
            fleet: Arc::clone(fleet),
            member: Arc::clone(member),
            check: check.clone(),
            names: Names::default(),
            due: Cell::new(0),
            is_busy: Cell::new(false),
            good: Cell::new(0),
            bad: Cell::new(0),
        }
    }

    /// Whether it is well; `None` if it could not even be asked, which says nothing about it.
    async fn find_out(&self, clock: &dyn Clock) -> Option<bool> {
        match connect(&self.member, &self.names, clock.now(), self.check.timeout).await {
            Ok(stream) => {
                let status = self.ask(stream).await;
                Some(status.is_some_and(|status| status.is_success() || status.is_redirection()))
            }
            Err(ProxyError::OutOfFiles { .. }) => None,
            Err(_) => Some(false),
        }
    }

    /// What it says; `None` if it says nothing.
    async fn ask(&self, stream: Stream) -> Option<StatusCode> {
        let target = self.check.path.clone().into();
        let mut request = Request::new(Empty::<Bytes>::new());
        request.headers_mut().insert(USER_AGENT, ASKING);
        let host = self.fleet.check_host.as_ref().unwrap_or(&self.member.host);
        let stream = TokioIo::new(stream);
        let answer = if self.fleet.speaks_http2 {
            *request.uri_mut() = whole(&target, &self.member.scheme, host.as_bytes().try_into().ok()?)?;
            let (mut sender, connection) = http2::handshake(OnThisThread, stream).await.ok()?;
            // It ends with the sender.
            tokio::task::spawn_local(connection);
            sender.send_request(request).await.ok()?
        } else {
            *request.uri_mut() = target;
            request.headers_mut().insert(HOST, host.clone());
            let (mut sender, connection) = http1::handshake(stream).await.ok()?;
            tokio::task::spawn_local(connection);
            sender.send_request(request).await.ok()?
        };
        Some(answer.status())
    }

    fn conclude(&self, is_good: bool) {
        let (right, wrong) = if is_good { (&self.good, &self.bad) } else { (&self.bad, &self.good) };
        right.set(right.get().saturating_add(1));
        wrong.set(0);
        let enough = if is_good { self.check.healthy_after } else { self.check.unhealthy_after };
        if right.get() >= enough {
            self.member.standing.was_found(is_good);
        }
    }
}
