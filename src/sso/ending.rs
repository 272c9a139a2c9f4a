//! Ending many sessions: those of a person who was shut out, or of a site that is no more.
//!
//! Where it can be asked for again, it is done as far as the store can, and whoever asked is told. Where it
//! cannot, because what the sessions rested on is gone already, it goes on until it is done.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::detached::to_its_end;
use super::sessions::BATCH;
use super::{Cause, Event, Sso};
use crate::domain::clock::Timestamp;
use crate::domain::session::{End, SessionId};
use crate::store::{SessionFilter, StoreResult};

/// How soon it is tried again what the store could not do.
pub(super) const RETRY: Duration = Duration::from_secs(1);

impl Sso {
    /// Ends the session with this name; whether there was one. It runs detached from the caller.
    pub async fn revoke_session(self: &Arc<Self>, id: SessionId, cause: &Cause) -> StoreResult<bool> {
        let (sso, cause) = (Arc::clone(self), cause.clone());
        to_its_end(async move { sso.end_session(id, End::Revoked, &cause).await }).await
    }

    pub(super) async fn end_session(&self, id: SessionId, end: End, cause: &Cause) -> StoreResult<bool> {
        let ended = self.stores.sessions.remove_by_id(id, end).await?;
        if let Some(live) = &ended {
            self.note(Event::SessionEnded { site: &live.session.site, session: id, end }, cause);
        }
        Ok(ended.is_some())
    }

    /// Ends every session that `filter` means, and says how many there were. Open tokens for such
    /// sessions are withdrawn first, so that none comes after. It runs detached from the caller.
    pub async fn revoke_sessions(
        self: &Arc<Self>,
        filter: SessionFilter,
        cause: &Cause,
    ) -> StoreResult<usize> {
        let (sso, cause) = (Arc::clone(self), cause.clone());
        to_its_end(async move { sso.end_sessions(filter, &cause).await }).await
    }

    pub(super) async fn end_sessions(&self, filter: SessionFilter, cause: &Cause) -> StoreResult<usize> {
        self.withdrawals.note(filter.clone());
        self.stores.tokens.revoke(filter.clone()).await?;
        let mut revoked = 0;
        loop {
            let page = self.stores.sessions.list(filter.clone(), None, BATCH, self.now()).await?;
            for live in &page.entries {
                revoked += usize::from(self.end_session(live.session.id, End::Revoked, cause).await?);
            }
            if page.next.is_none() {
                return Ok(revoked);
            }
        }
    }

    /// Ends every session that `filter` means, where nobody may be able to ask for it again. What cannot be
    /// done now goes on by itself, even if the caller is told that it was not done.
    pub(super) async fn end_sessions_for_good(
        self: &Arc<Self>,
        filter: SessionFilter,
        cause: &Cause,
    ) -> StoreResult<()> {
        let ended = self.end_sessions(filter.clone(), cause).await;
        if ended.is_err() {
            let (sso, cause) = (Arc::clone(self), cause.left_to_gateway());
            tokio::spawn(async move { sso.end_all(filter, &cause).await });
        }
        ended.map(drop)
    }

    /// Ends the sessions that `filter` means and that began until now, however long it takes. What begins
    /// later is no matter of this: a site may come back, and so may a person.
    pub(super) async fn end_all(&self, filter: SessionFilter, cause: &Cause) {
        let since = self.now();
        self.withdrawals.note(filter.clone());
        let mut condemned = Vec::new();
        while self.condemn(&filter, since, &mut condemned).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
        while self.execute(&filter, &mut condemned, cause).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Has the sessions that `filter` means and that began until then open nothing any more, whether the store
    /// can write that down or not, and adds their names to those who are `condemned`.
    async fn condemn(
        &self,
        filter: &SessionFilter,
        since: Timestamp,
        condemned: &mut Vec<SessionId>,
    ) -> StoreResult<()> {
        let mut after = None;
        loop {
            let page = self.stores.sessions.list(filter.clone(), after, BATCH, self.now()).await?;
            for live in page.entries.iter().filter(|live| live.session.created_at() <= since) {
                live.end(End::Revoked);
                condemned.push(live.session.id);
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Ends those who are `condemned` in the store, and the tokens for more of them.
    async fn execute(
        &self,
        filter: &SessionFilter,
        condemned: &mut Vec<SessionId>,
        cause: &Cause,
    ) -> StoreResult<()> {
        self.stores.tokens.revoke(filter.clone()).await?;
        while !condemned.is_empty() {
            let rest = condemned.len().saturating_sub(BATCH);
            let ends = condemned.iter().skip(rest);
            let ends = ends.map(|id| self.end_session(*id, End::Revoked, cause));
            join_all(ends).await.into_iter().collect::<StoreResult<Vec<_>>>()?;
            condemned.truncate(rest);
        }
        Ok(())
    }
}
