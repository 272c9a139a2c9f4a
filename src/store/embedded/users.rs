//! Users: read in memory, changed in the file first.

use std::sync::Arc;

use super::handle::WriterHandle;
use super::ledger::{Change, Ledger, number};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::site::SiteName;
use crate::domain::user::{Account, PersonName, Role, Roles, User, UserId};
use crate::store::record::Recorded as _;
use crate::store::{
    Directory, Page, Provisioned, StoreFuture, StoreResult, Unavailable, UserChange, UserFilter,
};

/// Users who outlive the process.
pub(super) struct Users(pub(super) WriterHandle);

impl Directory for Users {
    fn provision(
        &self,
        email: Email,
        name: PersonName,
        site: SiteName,
        now: Timestamp,
    ) -> StoreFuture<'_, Provisioned> {
        let provisioned = self.0.write(
            move |ledger| provision(ledger, email, name, site, now),
            |mirror, provisioned| {
                provisioned.inspect(|provisioned| mirror.users.show(provisioned.user.clone()))
            },
        );
        Box::pin(async { provisioned.await? })
    }

    fn find_by_email(&self, email_key: Arc<str>) -> StoreFuture<'_, Option<User>> {
        self.0.mirror.users.find_by_email(email_key)
    }

    fn find(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        self.0.mirror.users.find(id)
    }

    fn list(
        &self,
        filter: UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> StoreFuture<'_, Page<User, UserId>> {
        self.0.mirror.users.list(filter, after, limit)
    }

    fn update(&self, id: UserId, change: UserChange) -> StoreFuture<'_, Option<User>> {
        let updated = self.0.write(
            move |ledger| {
                let user = match find(ledger, id)? {
                    Some(Ok(user)) => change.apply_to(user),
                    unchanged => return Ok(unchanged.transpose()),
                };
                keep(ledger, &user)?;
                Ok(Ok(Some(user)))
            },
            |mirror, updated: StoreResult<Option<User>>| {
                updated.inspect(|user| user.iter().for_each(|user| mirror.users.show(user.clone())))
            },
        );
        Box::pin(async { updated.await? })
    }

    fn remove(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        let removed = self.0.write(
            move |ledger| {
                let found = find(ledger, id)?.transpose();
                if let Ok(Some(_)) = found {
                    ledger.execute("DELETE FROM user WHERE id = ?1", [number(id.number())])?;
                    ledger.note(&Change::User(id))?;
                }
                Ok(found)
            },
            move |mirror, found| found.inspect(|_| drop(mirror.users.hide(id))),
        );
        Box::pin(async { removed.await? })
    }

    fn answers(&self) -> StoreFuture<'_, ()> {
        if self.0.mirror.is_well() {
            self.0.look(|_| Ok(()))
        } else {
            Box::pin(std::future::ready(Err(Unavailable)))
        }
    }
}

fn provision(
    ledger: &Ledger<'_>,
    email: Email,
    name: PersonName,
    site: SiteName,
    now: Timestamp,
) -> rusqlite::Result<StoreResult<Provisioned>> {
    let known = ledger.row("SELECT record FROM user WHERE email_key = ?1", [email.key()], read)?;
    let created = known.is_none();
    let mut user = match known {
        Some(Ok(user)) => user,
        Some(Err(damaged)) => return Ok(Err(damaged)),
        None => create(ledger, email, name, now)?,
    };
    let is_member = user.roles.contains_key(&site);
    if !is_member {
        user.roles.set(site, Some(Role::editor()));
        keep(ledger, &user)?;
    }
    Ok(Ok(Provisioned { user, created, joined: !created && !is_member }))
}

/// A new user, whose record is still to be kept. No number is used twice, by whatever process.
fn create(ledger: &Ledger<'_>, email: Email, name: PersonName, now: Timestamp) -> rusqlite::Result<User> {
    let sql = "INSERT INTO user (email_key, record) VALUES (?1, '') RETURNING id";
    let id: Option<i64> = ledger.row(sql, [email.key()], |row| row.get(0))?;
    let id = id.and_then(|id| u64::try_from(id).ok()).and_then(UserId::from_number);
    let id = id.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(User { id, email, name, account: Account::default(), roles: Roles::default(), created_at: now })
}

fn find(ledger: &Ledger<'_>, id: UserId) -> rusqlite::Result<Option<StoreResult<User>>> {
    ledger.row("SELECT record FROM user WHERE id = ?1", [number(id.number())], read)
}

/// The user in a row. One who is there and cannot be read is not somebody new.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoreResult<User>> {
    Ok(User::from_record(row.get_ref(0)?.as_bytes()?).map_err(|_| Unavailable))
}

fn keep(ledger: &Ledger<'_>, user: &User) -> rusqlite::Result<()> {
    let sql = "UPDATE user SET record = ?2 WHERE id = ?1";
    ledger.execute(sql, (number(user.id.number()), user.to_record()))?;
    ledger.note(&Change::User(user.id))
}
