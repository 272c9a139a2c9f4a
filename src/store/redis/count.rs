//! How many sessions there are on each site, whichever node they began at.
//!
//! Each stands in a list of its site, by when it ends if nobody uses it: so to count is to ask for a range,
//! and nobody walks. The lists lie beside those of all sessions and are written with them. Every node asks
//! every few seconds, beside everything else, and whoever wants to know is told what it heard last: no
//! scrape waits for the Redis, and none gets a figure that is old.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::cmd;
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::trouble::Trouble;
use super::{Inner, SLACK, keys, list, number, scripts};
use crate::domain::clock::{Timestamp, millis};
use crate::domain::session::LiveSession;
use crate::domain::site::SiteName;

/// How often the Redis is asked.
const EVERY: Duration = Duration::from_secs(2);

/// How long a figure may be told.
const GOOD_FOR: Duration = Duration::from_secs(15);

/// What was counted last, and when.
#[derive(Default)]
pub(super) struct SessionCounts(Mutex<Option<(Instant, BTreeMap<SiteName, usize>)>>);

impl SessionCounts {
    /// How many there are on each site, if that was heard of late.
    pub(super) fn counts(&self) -> Option<BTreeMap<SiteName, usize>> {
        let last = self.last();
        let (at, counts) = last.as_ref()?;
        (at.elapsed() < GOOD_FOR).then(|| counts.clone())
    }

    fn last(&self) -> MutexGuard<'_, Option<(Instant, BTreeMap<SiteName, usize>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts for as long as the thread lives.
pub(super) async fn keep_counting(inner: Arc<Inner>) {
    let mut links = inner.exchange.links();
    // While there is no Redis nobody is asked.
    while links.wait_for(Option::is_some).await.is_ok() {
        let began = Instant::now();
        match inner.count_sessions().await {
            Ok(counts) => *inner.session_counts.last() = Some((began, counts)),
            Err(trouble) => drop(inner.exchange.complain(trouble)),
        }
        sleep(EVERY).await;
    }
}

impl Inner {
    async fn count_sessions(&self) -> Result<BTreeMap<SiteName, usize>, Trouble> {
        let sites = self.site_names();
        let now = self.clock.now();
        // A use that another node has yet to write down moves what looks as if it were over.
        let long_over = Timestamp::from_millis(now.as_millis().saturating_sub(millis(SLACK)));
        let times = [now, long_over].map(|time| time.as_millis().to_string());
        let asking = (0..keys::SHARDS).map(async |shard| {
            let lists: Vec<_> = sites.iter().map(|site| keys::shard_of_site(shard, site)).collect();
            let lists: Vec<_> = lists.iter().map(String::as_str).collect();
            let counts = list(scripts::COUNT.run(&self.exchange, &lists, &times).await?)?;
            if counts.len() != sites.len() {
                return Err(Trouble::Damaged);
            }
            counts.iter().map(number).collect::<Result<Vec<_>, _>>()
        });
        let mut sums: BTreeMap<_, usize> = sites.iter().map(|site| (site.clone(), 0)).collect();
        for counts in try_join_all(asking).await? {
            for (site, count) in sites.iter().zip(counts) {
                if let Some(sum) = sums.get_mut(site) {
                    *sum = sum.saturating_add(usize::try_from(count).map_err(|_| Trouble::Damaged)?);
                }
            }
        }
        Ok(sums)
    }

    /// Has a session that was used counted for as long as it lives on. It has to be counted already: one
    /// that ends at this moment stays out.
    pub(super) async fn count_on(&self, live: &LiveSession) {
        let mut add = cmd("ZADD");
        add.arg(keys::counted_in(&live.session)).arg("XX").arg("GT");
        add.arg(live.ends_at().as_millis()).arg(live.session.id.to_string());
        // If that fails a figure is wrong until the session is used again, and nothing else.
        let _ = self.exchange.ask(&add).await;
    }
}
