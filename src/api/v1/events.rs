//! `/v1/events`: what happens, as it happens (server-sent events, WHATWG HTML §9.2).
//!
//! Nobody who listens can hold up anything: events are kept in one ring for all, and who falls behind it
//! is told so and shown out. Nothing is replayed; a list of sessions tells what was missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::StatusCode;
use http::header::HeaderName;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{Instant, Interval, interval_at, sleep_until};

use super::super::error::ApiError;
use super::super::{Api, Via};
use super::ListQuery;
use crate::config::{ApiKey, Scope};
use crate::domain::site::SiteName;
use crate::http::body::{Body, BodyError};
use crate::http::{Request, Response, reply};
use crate::sso::PublishedEvent;

/// Those who may listen at one time: their connections are places that others need.
const MOST_LISTENERS: usize = 64;

/// Those of them with one key, which is not to shut out the others.
const MOST_OF_ONE_KEY: usize = 16;

/// When somebody comes again who was one too many.
const COME_AGAIN: Duration = Duration::from_secs(30);

/// How often a word is said when there is nothing to say, so that nobody on the way takes the connection
/// for dead, and it is noticed here if it is.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long somebody may listen on the strength of one look at the key. Browsers come again by themselves.
const TERM: Duration = Duration::from_hours(1);

impl Api {
    pub(super) fn events(&self, request: &Request, via: &Via) -> Result<Response, ApiError> {
        let key = self.authorize(request.headers(), via, Scope::ReadSessions)?;
        let sites = self.listed_sites(&ListQuery::of(request)?, &key)?;
        let term = self.time_left(request.headers()).map_or(TERM, |left| left.min(TERM));
        let place = self.ears.lend(&key);
        let (place, heard) = place.zip(self.sso.listen(MOST_LISTENERS)).ok_or_else(|| {
            let message = "Too many event listeners: retry after the time in Retry-After.";
            ApiError::too_many(message, COME_AGAIN)
        })?;
        let listener = Listener::new(heard, sites, key, term);
        let body = StreamBody::new(unfold((listener, place), |(listener, place)| async {
            let (said, listener) = listener.next().await?;
            Some((said, (listener, place)))
        }));
        let mut response = reply::with_body(StatusCode::OK, "text/event-stream", Body::stream(body));
        // Some proxies keep back what is not much.
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-accel-buffering"), http::HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// The places of those who listen, by the name of their key.
#[derive(Default)]
pub(in crate::api) struct Ears(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Ears {
    /// A place for somebody with `key`, unless all of them are taken.
    fn lend(&self, key: &ApiKey) -> Option<OwnedSemaphorePermit> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = places.entry(key.name.clone()).or_insert_with(|| Arc::new(Semaphore::new(MOST_OF_ONE_KEY)));
        Arc::clone(own).try_acquire_owned().ok()
    }
}

/// Somebody who listens.
struct Listener {
    heard: broadcast::Receiver<Arc<PublishedEvent>>,
    /// Events on these sites alone; `None` for all, and those that are about no single site.
    sites: Option<Vec<SiteName>>,
    key: Arc<ApiKey>,
    heartbeat: Interval,
    until: Instant,
    phase: Phase,
}

/// How far it has come.
enum Phase {
    /// Nothing has been said yet.
    Greeting,
    Telling,
    /// The last word has been said.
    Over,
}

impl Listener {
    fn new(
        heard: broadcast::Receiver<Arc<PublishedEvent>>,
        sites: Option<Vec<SiteName>>,
        key: Arc<ApiKey>,
        term: Duration,
    ) -> Self {
        let now = Instant::now();
        let heartbeat = interval_at(now + HEARTBEAT, HEARTBEAT);
        Self { heard, sites, key, heartbeat, until: now + term, phase: Phase::Greeting }
    }

    /// The next piece of what is sent.
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, BodyError>, Self)> {
        match self.phase {
            Phase::Greeting => {
                // At once, so that whoever asked knows that it is on.
                self.phase = Phase::Telling;
                return Some(self.saying(": what happens from now on\nretry: 3000\n\n".to_owned()));
            }
            Phase::Telling => {}
            Phase::Over => return None,
        }
        loop {
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Ok(event) if self.is_for(&event) => {
                        let json = match &event.of_one_site {
                            Some((from, json)) if !self.key.covers(from) => json,
                            _ => &event.json,
                        };
                        let text = format!("event: {}\ndata: {json}\n\n", event.event);
                        return Some(self.saying(text));
                    }
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(lost)) => {
                        let json = serde_json::json!({ "event": "end", "reason": "too_slow", "lost": lost });
                        return Some(self.ending(&json));
                    }
                    // What the key may see now is another question.
                    Err(broadcast::error::RecvError::Closed) => {
                        let json = serde_json::json!({ "event": "end", "reason": "reload" });
                        return Some(self.ending(&json));
                    }
                },
                _ = self.heartbeat.tick() => return Some(self.saying(": nothing new\n\n".to_owned())),
                () = sleep_until(self.until) => {
                    let json = serde_json::json!({ "event": "end", "reason": "time" });
                    return Some(self.ending(&json));
                }
            }
        }
    }

    fn is_for(&self, event: &PublishedEvent) -> bool {
        match (&self.sites, &event.site) {
            (None, _) => true,
            (Some(sites), Some(site)) => sites.contains(site),
            (Some(_), None) => false,
        }
    }

    fn saying(self, text: String) -> (Result<Frame<Bytes>, BodyError>, Self) {
        (Ok(Frame::data(text.into())), self)
    }

    /// The last word.
    fn ending(mut self, json: &serde_json::Value) -> (Result<Frame<Bytes>, BodyError>, Self) {
        self.phase = Phase::Over;
        self.saying(format!("event: end\ndata: {json}\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PermissionLevel;

    fn key(sites: Option<Vec<SiteName>>) -> Arc<ApiKey> {
        Arc::new(ApiKey {
            name: "watcher".to_owned(),
            proofs: Vec::new(),
            scopes: vec![Scope::ReadSessions],
            permission: PermissionLevel::None,
            sites,
        })
    }

    async fn said(listener: Listener) -> Option<(String, Listener)> {
        let (frame, listener) = listener.next().await?;
        let text = String::from_utf8(frame.unwrap().into_data().ok()?.to_vec()).unwrap();
        Some((text, listener))
    }

    fn published(site: Option<&str>, json: &str) -> Arc<PublishedEvent> {
        Arc::new(PublishedEvent {
            event: "something",
            site: site.and_then(SiteName::parse),
            json: json.to_owned(),
            of_one_site: None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_now_and_then_and_everybody_leaves_in_the_end() {
        let ring = broadcast::Sender::<Arc<PublishedEvent>>::new(4);
        let (mut text, mut listener) =
            said(Listener::new(ring.subscribe(), None, key(None), TERM)).await.unwrap();
        assert!(text.starts_with(": "), "{text}");
        let began = Instant::now();
        let mut words = 0;
        loop {
            (text, listener) = said(listener).await.unwrap();
            if !text.starts_with(": ") {
                break;
            }
            words += 1;
            assert_eq!(Instant::now() - began, HEARTBEAT * words);
        }
        assert_eq!(Instant::now() - began, TERM);
        assert_eq!(text, "event: end\ndata: {\"event\":\"end\",\"reason\":\"time\"}\n\n");
        assert!(said(listener).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_falls_behind_is_told_so_and_shown_out() {
        let ring = broadcast::Sender::new(4);
        let (_, listener) = said(Listener::new(ring.subscribe(), None, key(None), TERM)).await.unwrap();
        (0..9).for_each(|_| drop(ring.send(published(None, "{}"))));
        let (text, listener) = said(listener).await.unwrap();
        assert!(text.starts_with("event: end\n") && text.contains("\"too_slow\""), "{text}");
        assert!(said(listener).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_see_some_sites_hears_of_nothing_else() {
        let ring = broadcast::Sender::new(8);
        let sites = SiteName::parse("wiki").map(|site| vec![site]);
        let (_, listener) =
            said(Listener::new(ring.subscribe(), sites.clone(), key(sites), TERM)).await.unwrap();
        for (site, json) in [(None, "1"), (Some("paper"), "2"), (Some("wiki"), "3")] {
            drop(ring.send(published(site, json)));
        }
        let (text, listener) = said(listener).await.unwrap();
        assert_eq!(text, "event: something\ndata: 3\n\n");
        let (text, _) = said(listener).await.unwrap();
        assert!(text.starts_with(": "), "{text}");
    }
}
