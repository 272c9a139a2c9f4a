//! The user directory in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use super::{lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::site::SiteName;
use crate::domain::user::{Account, PersonName, Role, User, UserId};
use crate::store::{Directory, Page, Provisioned, StoreFuture, UserChange, UserFilter};

/// Users in memory. Logins and administration come here, requests do not: one lock is enough.
#[derive(Debug, Default)]
pub struct Users(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_id: BTreeMap<UserId, User>,
    by_email: HashMap<Arc<str>, UserId>,
    last_id: u64,
}

impl Table {
    /// The user with this address, created if need be.
    fn find_or_create(&mut self, email: Email, name: PersonName, now: Timestamp) -> (&mut User, bool) {
        let known = self.by_email.get(email.key()).copied();
        let id = known.unwrap_or_else(|| {
            self.last_id += 1;
            UserId(self.last_id)
        });
        self.by_email.entry(email.key().clone()).or_insert(id);
        let roles = BTreeMap::new();
        let account = Account::default();
        let create = || User { id, email, name, account, roles, created_at: now };
        (self.by_id.entry(id).or_insert_with(create), known.is_none())
    }
}

impl Directory for Users {
    fn provision(
        &self,
        email: Email,
        name: PersonName,
        site: SiteName,
        now: Timestamp,
    ) -> StoreFuture<'_, Provisioned> {
        let mut table = lock(&self.0);
        let (user, created) = table.find_or_create(email, name, now);
        user.roles.entry(site).or_insert_with(Role::editor);
        ready(Provisioned { user: user.clone(), created })
    }

    fn find_by_email(&self, email_key: Arc<str>) -> StoreFuture<'_, Option<User>> {
        let table = lock(&self.0);
        ready(table.by_email.get(&email_key).and_then(|id| table.by_id.get(id)).cloned())
    }

    fn find(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        ready(lock(&self.0).by_id.get(&id).cloned())
    }

    fn list(
        &self,
        filter: UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> StoreFuture<'_, Page<User, UserId>> {
        let table = lock(&self.0);
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut found = table.by_id.range(range).map(|(_, user)| user).filter(|user| filter.matches(user));
        let entries: Vec<User> = found.by_ref().take(limit).cloned().collect();
        let more = found.next().is_some();
        let next = more.then(|| entries.last().map(|user| user.id)).flatten();
        ready(Page { entries, next })
    }

    fn update(&self, id: UserId, change: UserChange) -> StoreFuture<'_, Option<User>> {
        let mut table = lock(&self.0);
        let Some(user) = table.by_id.get_mut(&id) else {
            return ready(None);
        };
        if let Some(name) = change.name {
            user.name = name;
        }
        if let Some(account) = change.account {
            user.account = account;
        }
        for (site, role) in change.roles {
            match role {
                Some(role) => drop(user.roles.insert(site, role)),
                None => drop(user.roles.remove(&site)),
            }
        }
        ready(Some(user.clone()))
    }

    fn remove(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        let mut table = lock(&self.0);
        let user = table.by_id.remove(&id);
        if let Some(user) = &user {
            table.by_email.remove(user.email.key());
        }
        ready(user)
    }
}
