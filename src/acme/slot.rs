//! One certificate that is kept: when something is due for it, and what is done then.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::Instant;

use super::agent::Agent;
use super::folder::Locked;
use super::issued::Issued;
use super::keeper::{Keeper, LOOK};
use super::memory::{Failures, Memory};
use super::news::{self, News, identifier};
use super::schedule::{Failure, earliest_after, pause, renewal, renewal_as_suggested};
use super::trouble::Trouble;
use super::{account, folder, order};
use crate::config::{AcmeCertificate, Certificate};
use crate::domain::clock::{Clock, Timestamp};

/// How long a folder is left to another process that asks.
const COURTESY: Duration = Duration::from_secs(30);

/// For an attempt from the account to the certificate. A hundred names, each with its challenge, take a slow
/// authority a quarter of an hour; and while one certificate is asked for, the others wait.
const LIMIT: Duration = Duration::from_mins(20);

/// One certificate.
pub(super) struct Slot<'a> {
    wanted: &'a AcmeCertificate,
    memory: Memory,
    /// When it is to be asked for.
    due: Timestamp,
    /// Not before this, whatever is suggested: it is new.
    earliest: Timestamp,
    /// Failures in a row.
    failures: u32,
    news: Option<News>,
    /// When the authority is asked for news.
    news_due: Timestamp,
    /// What became of writing down what is in no file yet.
    unwritten: Option<Failures>,
    /// What the clock said the last time.
    seen: Timestamp,
}

/// Why there is no certificate, and for how long the authority wants to be left alone.
type Failed = (Trouble, Option<Duration>);

impl<'a> Slot<'a> {
    pub(super) fn new(keeper: &Keeper, wanted: &'a AcmeCertificate) -> Self {
        let now = keeper.clock.now();
        let memory = Memory::of(&keeper.settings, wanted);
        let mut slot = Self {
            wanted,
            memory,
            due: now,
            earliest: Timestamp::from_millis(0),
            failures: 0,
            news: None,
            news_due: now,
            unwritten: None,
            seen: now,
        };
        if let Some(certificate) = keeper.present(wanted) {
            slot.due = slot.renewal(keeper, &certificate);
        }
        slot
    }

    /// Does what is due.
    pub(super) async fn look(&mut self, keeper: &Keeper) {
        self.follow_clock(keeper);
        self.write_again(keeper);
        let now = keeper.clock.now();
        // What fails is tried again in its own time, whatever is suggested (RFC 9773 §4.2).
        if self.news_due <= now && self.due > now && self.failures == 0 {
            self.hear(keeper).await;
        }
        if self.due <= keeper.clock.now() {
            self.attend(keeper).await;
        }
    }

    /// What is waited for stays as far away as it was, if the clock was set back: one that was years ahead would
    /// be waited for else.
    fn follow_clock(&mut self, keeper: &Keeper) {
        let now = keeper.clock.now();
        let before = std::mem::replace(&mut self.seen, now);
        if now.until(before) < LOOK {
            return;
        }
        let as_far = |moment: Timestamp| moment.min(now.after(before.until(moment)));
        (self.earliest, self.news_due) = (as_far(self.earliest), as_far(self.news_due));
        self.unwritten = self.unwritten.map(|failed| Failures { next: as_far(failed.next), ..failed });
        self.due = as_far(self.due);
        if self.failures > 0 {
            self.memory.note(Failures { count: self.failures, next: self.due });
        } else if let Some(certificate) = keeper.present(self.wanted) {
            self.due = self.renewal(keeper, &certificate);
        }
    }

    /// When `certificate` is to be renewed.
    fn renewal(&self, keeper: &Keeper, certificate: &Certificate) -> Timestamp {
        let (from, until, before) =
            (certificate.not_before, certificate.not_after, keeper.settings.renew_before);
        let about = |news: &&News| identifier(certificate).as_ref() == Some(&news.about);
        let due = match self.news.as_ref().filter(about) {
            Some(news) => renewal_as_suggested(from, until, before, news.moment),
            None => renewal(from, until, before),
        };
        due.max(self.earliest)
    }

    /// Asks when the certificate that there is should be renewed.
    async fn hear(&mut self, keeper: &Keeper) {
        self.news_due = keeper.clock.now().after(news::INTERVAL);
        let Some(certificate) = keeper.present(self.wanted) else { return };
        let settings = &keeper.settings;
        let Ok(agent) = Agent::new(settings.root_ca.as_ref(), &keeper.clock) else { return };
        let heard =
            news::ask(&agent, &settings.directory, &certificate, self.news.as_ref(), &*keeper.entropy).await;
        let interval = match heard {
            Ok((news, interval)) => {
                self.news = news;
                interval
            }
            // What was heard before is true all the same.
            Err(error) => {
                let names = self.wanted.names.join(", ");
                tracing::debug!(target: "tollgate::acme", names, %error, "could not ask when to renew");
                agent.take_asked().unwrap_or_default().max(news::INTERVAL)
            }
        };
        self.follow_clock(keeper);
        self.news_due = keeper.clock.now().after(interval);
        self.due = self.renewal(keeper, &certificate);
    }

    /// Gets the certificate, if that is so.
    async fn attend(&mut self, keeper: &Keeper) {
        let names = self.wanted.names.join(", ");
        let outcome = self.renew(keeper).await;
        self.follow_clock(keeper);
        match outcome {
            // Nobody else writes there before this is done.
            Ok(Some((issued, _locked))) => {
                keeper.counters.got.increment();
                self.failures = 0;
                self.memory.forget();
                let (from, until) = (issued.certificate.not_before, issued.certificate.not_after);
                let now = keeper.clock.now();
                (self.news, self.news_due, self.earliest) = (None, now, earliest_after(from, until, now));
                self.due = self.renewal(keeper, &issued.certificate);
                tracing::info!(
                    target: "tollgate::acme", names, until = until.to_rfc3339(), "obtained a certificate"
                );
                match issued.write() {
                    Ok(()) => keeper.unwritten.release(&self.wanted.file),
                    Err(error) => {
                        self.unwritten = Some(self.note_unwritten(keeper, 1, &error));
                        keeper.unwritten.hold(issued);
                    }
                }
            }
            Ok(None) => {}
            Err((trouble, asked)) => {
                keeper.counters.failed.increment();
                self.failures = self.failures.saturating_add(1);
                let pause = pause(trouble.failure(), self.failures, asked, &*keeper.entropy);
                self.due = keeper.clock.now().after(pause);
                self.memory.note(Failures { count: self.failures, next: self.due });
                let next = self.due.to_rfc3339();
                let until = keeper.present(self.wanted).map(|present| present.not_after.to_rfc3339());
                let until = until.as_deref().unwrap_or("there is none");
                tracing::error!(
                    target: "tollgate::acme", names, error = %trouble, remedy = trouble.remedy(), next,
                    present_until = until, "could not obtain a certificate"
                );
            }
        }
    }

    /// Asks for the certificate, unless somebody else does or has, or it is too early for that.
    async fn renew(&mut self, keeper: &Keeper) -> Result<Option<(Issued, Locked)>, Failed> {
        let settings = &keeper.settings;
        let alone = |trouble| (trouble, None);
        let Some(locked) = folder::lock(&settings.folder).map_err(|error| alone(error.into()))? else {
            self.due = keeper.clock.now().after(COURTESY);
            return Ok(None);
        };
        let (now, present) = (keeper.clock.now(), keeper.present(self.wanted));
        if let Some(due) = present.as_ref().map(|present| self.renewal(keeper, present))
            && due > now
        {
            self.due = due;
            return Ok(None);
        }
        if let Some(known) = self.memory.recall(now) {
            self.failures = self.failures.max(known.count);
            if known.next > now {
                self.due = known.next;
                let (names, next) = (self.wanted.names.join(", "), known.next.to_rfc3339());
                let failures = known.count;
                tracing::info!(
                    target: "tollgate::acme", names, failures, next, "waiting: earlier attempts failed"
                );
                return Ok(None);
            }
        }
        let agent = Agent::new(settings.root_ca.as_ref(), &keeper.clock);
        let agent = agent.map_err(|error| alone(Trouble::Own(error)))?;
        // Who is killed in the midst of it does not begin again at once, and again.
        let count = self.failures.saturating_add(1);
        let next = now.after(pause(Failure::Unreached, count, None, &*keeper.entropy));
        self.memory.note(Failures { count, next });
        let obtained = async {
            let account = account::open(settings, &agent).await?;
            let replaced = present.as_ref().and_then(identifier);
            let asked = order::Asked { wanted: self.wanted, kind: settings.challenge, replaced };
            order::obtain(&account, asked, &keeper.challenges, &*keeper.clock).await
        };
        let trouble = match within(LIMIT, &*keeper.clock, obtained).await {
            Some(Ok(issued)) => return Ok(Some((issued, locked))),
            Some(Err(trouble)) => trouble,
            None => Trouble::Endless,
        };
        if trouble.is_of_account() {
            account::forget(&settings.folder).map_err(|error| alone(error.into()))?;
        }
        Err((trouble, agent.take_asked()))
    }

    /// Writes down what is in force and in no file, if that is so.
    fn write_again(&mut self, keeper: &Keeper) {
        let Some(issued) = keeper.unwritten.find(&self.wanted.file) else { return };
        let now = keeper.clock.now();
        if self.unwritten.is_some_and(|failed| failed.next > now) {
            return;
        }
        // Who asks at this moment would rename what is half written here.
        let locked = folder::lock(&keeper.settings.folder);
        if let Ok(None) = locked {
            return;
        }
        // Another process may have got a newer one meanwhile.
        let is_newer = |present: &Certificate| {
            present.covers(&self.wanted.names) && present.not_after > issued.certificate.not_after
        };
        let is_needed = !Certificate::read(self.wanted.files()).as_ref().is_ok_and(is_newer);
        match if is_needed { issued.write() } else { Ok(()) } {
            Ok(()) => {
                self.unwritten = None;
                keeper.unwritten.release(&self.wanted.file);
                let names = self.wanted.names.join(", ");
                tracing::info!(target: "tollgate::acme", names, "the certificate is now saved");
            }
            Err(error) => {
                let count = self.unwritten.map_or(0, |failed| failed.count).saturating_add(1);
                self.unwritten = Some(self.note_unwritten(keeper, count, &error));
            }
        }
    }

    fn note_unwritten(&self, keeper: &Keeper, count: u32, error: &std::io::Error) -> Failures {
        let pause = pause(Failure::Unreached, count, None, &*keeper.entropy);
        let next = keeper.clock.now().after(pause);
        tracing::error!(
            target: "tollgate::acme", file = %self.wanted.file.display(), %error, next = next.to_rfc3339(),
            "a certificate could not be saved: it is in use, but is lost if tollgate stops before it can be saved; \
             check that tollgate may write there and that there is space"
        );
        Failures { count, next }
    }
}

/// What becomes of `work` by the end of this time, whatever becomes of the clock.
async fn within<T>(limit: Duration, clock: &dyn Clock, work: impl Future<Output = T>) -> Option<T> {
    let (end, began) = (clock.now().after(limit), Instant::now());
    let over = async {
        while clock.now() < end && began.elapsed() < limit {
            tokio::time::sleep(LOOK).await;
        }
    };
    match select(pin!(work), pin!(over)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}
