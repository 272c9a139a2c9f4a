//! The user directory in memory.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use super::filed::in_order_of;
use super::slices::{self, Slice};
use super::{lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::site::SiteName;
use crate::domain::user::{Account, PersonName, Role, Roles, User, UserId};
use crate::store::{Directory, Page, Provisioned, StoreFuture, UserChange, UserFilter};

/// Users in memory. Logins and administration come here, requests do not: one lock is enough.
#[derive(Debug, Default)]
pub struct Users(Mutex<Table>);

/// Each user is kept once and filed twice.
#[derive(Debug)]
struct Table {
    by_id: BTreeSet<ById>,
    by_email: BTreeSet<ByEmail>,
    next_id: UserId,
}

impl Default for Table {
    fn default() -> Self {
        Self { by_id: BTreeSet::new(), by_email: BTreeSet::new(), next_id: UserId::FIRST }
    }
}

impl Table {
    fn with_id(&self, id: UserId) -> Option<&Arc<User>> {
        self.by_id.get(&id).map(|filed| &filed.0)
    }

    fn with_email(&self, key: &str) -> Option<&Arc<User>> {
        self.by_email.get(key).map(|filed| &filed.0)
    }

    /// Files `user`, in the place of what was known of the same user before.
    fn put(&mut self, user: User) -> Arc<User> {
        let user = Arc::new(user);
        self.by_id.replace(ById(Arc::clone(&user)));
        self.by_email.replace(ByEmail(Arc::clone(&user)));
        user
    }

    fn take_out(&mut self, id: UserId) -> Option<Arc<User>> {
        let ById(user) = self.by_id.take(&id)?;
        self.by_email.remove(user.email.key());
        Some(user)
    }

    fn create(&mut self, email: Email, name: PersonName, roles: Roles, now: Timestamp) -> Arc<User> {
        let (id, account) = (self.next_id, Account::default());
        self.next_id = id.next();
        self.put(User { id, email, name, account, roles, created_at: now })
    }
}

/// For a store that keeps users elsewhere and shows them here.
impl Users {
    /// The user with this number, shared.
    pub(in crate::store) fn known(&self, id: UserId) -> Option<Arc<User>> {
        lock(&self.0).with_id(id).cloned()
    }

    /// The numbers of all users.
    pub(in crate::store) fn ids(&self) -> Vec<UserId> {
        lock(&self.0).by_id.iter().map(|filed| filed.0.id).collect()
    }

    /// Files `user`, in the place of whoever had the number or the address.
    pub(in crate::store) fn show(&self, user: User) {
        let mut table = lock(&self.0);
        table.take_out(user.id);
        if let Some(namesake) = table.with_email(user.email.key()).map(|user| user.id) {
            table.take_out(namesake);
        }
        table.put(user);
    }

    /// Takes a user out.
    pub(in crate::store) fn hide(&self, id: UserId) -> Option<Arc<User>> {
        lock(&self.0).take_out(id)
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
        let Some(known) = table.with_email(email.key()) else {
            let mut roles = Roles::default();
            roles.set(site, Some(Role::editor()));
            let user = User::clone(&table.create(email, name, roles, now));
            return ready(Provisioned { user, created: true, joined: false });
        };
        let mut user = User::clone(known);
        let joined = !user.roles.contains_key(&site);
        if joined {
            user.roles.set(site, Some(Role::editor()));
            table.put(user.clone());
        }
        ready(Provisioned { user, created: false, joined })
    }

    fn find_by_email(&self, email_key: Arc<str>) -> StoreFuture<'_, Option<User>> {
        ready(lock(&self.0).with_email(&email_key).map(|user| User::clone(user)))
    }

    fn find(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        ready(lock(&self.0).with_id(id).map(|user| User::clone(user)))
    }

    fn list(
        &self,
        filter: UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> StoreFuture<'_, Page<User, UserId>> {
        let id = |user: &Arc<User>| user.id;
        Box::pin(async move {
            let look = |after: Option<UserId>, most| {
                let table = lock(&self.0);
                let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
                let behind = table.by_id.range(range).map(|filed| &filed.0);
                Slice::of(behind, most, id, |user| filter.matches(user))
            };
            let Page { entries, next } = slices::page(after, limit, id, look).await;
            Ok(Page { entries: entries.iter().map(|user| User::clone(user)).collect(), next })
        })
    }

    fn update(&self, id: UserId, change: UserChange) -> StoreFuture<'_, Option<User>> {
        let mut table = lock(&self.0);
        let Some(user) = table.with_id(id).map(|user| User::clone(user)) else {
            return ready(None);
        };
        let user = change.apply_to(user);
        table.put(user.clone());
        ready(Some(user))
    }

    fn remove(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        ready(lock(&self.0).take_out(id).map(|user| User::clone(&user)))
    }
}

/// A user in the order of numbers.
#[derive(Debug)]
struct ById(Arc<User>);

impl Borrow<UserId> for ById {
    fn borrow(&self) -> &UserId {
        &self.0.id
    }
}

in_order_of!(ById, UserId);

/// A user in the order of addresses.
#[derive(Debug)]
struct ByEmail(Arc<User>);

impl Borrow<str> for ByEmail {
    fn borrow(&self) -> &str {
        self.0.email.key()
    }
}

in_order_of!(ByEmail, str);
