//! Users: a record each under the user's number, and the number under the address.
//!
//! The number is given first, then the user is written down, and then claims the address in one step.
//! Whoever comes too late for that takes the record back: numbers may be left out, but an address
//! never leads to a user that is not there.

use std::sync::Arc;

use ::redis::cmd;
use futures_util::future::try_join_all;

use super::trouble::Trouble;
use super::{Inner, Redis, keys, list, number, scripts, string, text, texts};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::site::SiteName;
use crate::domain::user::{Account, PersonName, Role, Roles, User, UserId};
use crate::store::{Directory, Page, Provisioned, StoreFuture, UserChange, UserFilter};

/// How often a user whom others change meanwhile is looked at again.
const ATTEMPTS: usize = 16;

/// How many users are looked up at a time.
const BATCH: usize = 256;

/// Nothing, as scripts spell it.
const NOTHING: &[u8] = b"";

impl Inner {
    /// The user with this number, and the record as it stands there.
    async fn user(&self, id: UserId) -> Result<Option<(User, Vec<u8>)>, Trouble> {
        let place = keys::user(id);
        let Some(sealed) = text(self.exchange.ask(cmd("GET").arg(&place)).await?)? else { return Ok(None) };
        Ok(Some((self.read(&place, &sealed)?, sealed)))
    }

    /// The number under an address, and how it is written there.
    async fn number_of(&self, place: &str) -> Result<Option<(UserId, Vec<u8>)>, Trouble> {
        let Some(sealed) = text(self.exchange.ask(cmd("GET").arg(place)).await?)? else { return Ok(None) };
        let (_, content) = self.seal.open(place, &sealed)?;
        let id = std::str::from_utf8(content).ok().and_then(UserId::parse).ok_or(Trouble::Damaged)?;
        Ok(Some((id, sealed)))
    }

    /// Puts `new` in the place of `old`; whether that is so now.
    async fn swap(&self, place: &str, old: &[u8], new: &[u8]) -> Result<bool, Trouble> {
        let answer = list(scripts::SWAP.run(&self.exchange, &[place], &[old, new, NOTHING]).await?)?;
        number(answer.first().ok_or(Trouble::Damaged)?).map(|swapped| swapped == 1)
    }

    async fn provision_user(
        &self,
        email: Email,
        name: PersonName,
        site: SiteName,
        now: Timestamp,
    ) -> Result<Provisioned, Trouble> {
        let place = keys::email(email.key(), &self.seal);
        for _ in 0..ATTEMPTS {
            let claimed = self.number_of(&place).await?;
            if let Some((id, _)) = &claimed
                && let Some((user, record)) = self.user(*id).await?
            {
                if user.email.key() != email.key() {
                    return Err(Trouble::Damaged);
                }
                if user.roles.contains_key(&site) {
                    return Ok(Provisioned { user, created: false, joined: false });
                }
                let mut user = user;
                user.roles.set(site.clone(), Some(Role::editor()));
                if self.put(&user, &record).await? {
                    return Ok(Provisioned { user, created: false, joined: true });
                }
                continue;
            }
            let present = claimed.map_or_else(Vec::new, |(_, sealed)| sealed);
            let mut roles = Roles::default();
            roles.set(site.clone(), Some(Role::editor()));
            if let Some(user) =
                self.create_user(&place, &present, email.clone(), name.clone(), roles, now).await?
            {
                return Ok(Provisioned { user, created: true, joined: false });
            }
        }
        Err(Trouble::Lost)
    }

    /// A new user at an address at which `present` stands; `None` if somebody else was faster.
    async fn create_user(
        &self,
        place: &str,
        present: &[u8],
        email: Email,
        name: PersonName,
        roles: Roles,
        now: Timestamp,
    ) -> Result<Option<User>, Trouble> {
        let last = number(&self.exchange.ask(cmd("INCR").arg(keys::LAST_USER)).await?)?;
        let id = u64::try_from(last).ok().and_then(UserId::from_number).ok_or(Trouble::Damaged)?;
        let user = User { id, email, name, account: Account::default(), roles, created_at: now };
        let own = keys::user(id);
        let record = self.write(&own, &user);
        if !self.swap(&own, NOTHING, &record).await? {
            // The count was set back: the next one may be free.
            return Ok(None);
        }
        self.exchange.ask(cmd("ZADD").arg(keys::USERS).arg(id.number()).arg(id.number())).await?;
        let claim = self.seal.close(place, &id.to_string());
        if self.swap(place, present, &claim).await? {
            return Ok(Some(user));
        }
        self.swap(&own, &record, NOTHING).await?;
        self.exchange.ask(cmd("ZREM").arg(keys::USERS).arg(id.number())).await?;
        Ok(None)
    }

    /// Writes a changed user in the place of `old`; whether nobody else changed it meanwhile.
    async fn put(&self, user: &User, old: &[u8]) -> Result<bool, Trouble> {
        let place = keys::user(user.id);
        self.swap(&place, old, &self.write(&place, user)).await
    }

    async fn user_by_email(&self, email_key: &str) -> Result<Option<User>, Trouble> {
        let Some((id, _)) = self.number_of(&keys::email(email_key, &self.seal)).await? else {
            return Ok(None);
        };
        match self.user(id).await? {
            Some((user, _)) if user.email.key() == email_key => Ok(Some(user)),
            Some(_) => Err(Trouble::Damaged),
            None => Ok(None),
        }
    }

    async fn update_user(&self, id: UserId, change: UserChange) -> Result<Option<User>, Trouble> {
        for _ in 0..ATTEMPTS {
            let Some((mut user, record)) = self.user(id).await? else { return Ok(None) };
            let UserChange { name, account, roles } = change.clone();
            user.name = name.unwrap_or(user.name);
            user.account = account.unwrap_or(user.account);
            for (site, role) in roles {
                user.roles.set(site, role);
            }
            if self.put(&user, &record).await? {
                return Ok(Some(user));
            }
        }
        Err(Trouble::Lost)
    }

    async fn remove_user(&self, id: UserId) -> Result<Option<User>, Trouble> {
        for _ in 0..ATTEMPTS {
            let Some((user, record)) = self.user(id).await? else { return Ok(None) };
            if !self.swap(&keys::user(id), &record, NOTHING).await? {
                continue;
            }
            // Whoever comes with the address now may have claimed it for a new user already. If it is left
            // as it is, it leads to nobody, and so does the number in the list.
            let place = keys::email(user.email.key(), &self.seal);
            let claim = self.seal.close(&place, &id.to_string());
            let _ = self.swap(&place, &claim, NOTHING).await;
            let _ = self.exchange.ask(cmd("ZREM").arg(keys::USERS).arg(id.number())).await;
            return Ok(Some(user));
        }
        Err(Trouble::Lost)
    }

    async fn list_users(
        &self,
        filter: &UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Page<User, UserId>, Trouble> {
        if let Some(key) = &filter.email_key {
            let found = self.user_by_email(key).await?;
            let shown =
                found.filter(|user| filter.matches(user) && after.is_none_or(|after| user.id > after));
            return Ok(Page { entries: shown.into_iter().take(limit).collect(), next: None });
        }
        let (mut entries, mut after) = (Vec::new(), after);
        loop {
            let batch = self.numbers_behind(after).await?;
            let Some(last) = batch.last().copied() else { return Ok(Page { entries, next: None }) };
            after = Some(last);
            let users = try_join_all(batch.into_iter().map(|id| self.listed_user(id))).await?;
            for user in users.into_iter().flatten().filter(|user| filter.matches(user)) {
                if entries.len() == limit {
                    let next = entries.last().map(|user: &User| user.id);
                    return Ok(Page { entries, next });
                }
                entries.push(user);
            }
        }
    }

    async fn numbers_behind(&self, after: Option<UserId>) -> Result<Vec<UserId>, Trouble> {
        let start = after.map_or_else(|| "-inf".to_owned(), |id| format!("({id}"));
        let mut range = cmd("ZRANGEBYSCORE");
        range.arg(keys::USERS).arg(start).arg("+inf").arg("LIMIT").arg(0).arg(BATCH);
        let numbers = texts(self.exchange.ask(&range).await?)?;
        let read = |number| UserId::parse(&string(number)?).ok_or(Trouble::Damaged);
        numbers.into_iter().map(read).collect()
    }

    /// A user as the list shows it: not one who only just tries to claim an address.
    async fn listed_user(&self, id: UserId) -> Result<Option<User>, Trouble> {
        let Some((user, _)) = self.user(id).await? else { return Ok(None) };
        let claimed = self.number_of(&keys::email(user.email.key(), &self.seal)).await?;
        Ok(claimed.is_some_and(|(claimed, _)| claimed == id).then_some(user))
    }
}

impl Directory for Redis {
    fn provision(
        &self,
        email: Email,
        name: PersonName,
        site: SiteName,
        now: Timestamp,
    ) -> StoreFuture<'_, Provisioned> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.provision_user(email, name, site, now).await })
    }

    fn find_by_email(&self, email_key: Arc<str>) -> StoreFuture<'_, Option<User>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.user_by_email(&email_key).await })
    }

    fn find(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { Ok(inner.user(id).await?.map(|(user, _)| user)) })
    }

    fn list(
        &self,
        filter: UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> StoreFuture<'_, Page<User, UserId>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run_at_leisure(async move { inner.list_users(&filter, after, limit).await })
    }

    fn update(&self, id: UserId, change: UserChange) -> StoreFuture<'_, Option<User>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.update_user(id, change).await })
    }

    fn remove(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.remove_user(id).await })
    }
}
