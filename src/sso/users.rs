//! Users and their roles.

use std::sync::Arc;

use super::detached::to_its_end;
use super::{Cause, Event, Sso};
use crate::domain::site::SiteName;
use crate::domain::user::{User, UserId};
use crate::store::{Page, SessionFilter, StoreResult, UserChange, UserFilter};

impl Sso {
    /// The user with this number.
    pub async fn find_user(&self, id: UserId) -> StoreResult<Option<User>> {
        self.stores.directory.find(id).await
    }

    /// The user with this address (lower-case).
    pub async fn find_user_by_email(&self, email_key: Arc<str>) -> StoreResult<Option<User>> {
        self.stores.directory.find_by_email(email_key).await
    }

    /// One page of users.
    pub async fn list_users(
        &self,
        filter: UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> StoreResult<Page<User, UserId>> {
        self.stores.directory.list(filter, after, limit).await
    }

    /// Changes a user, and with it what the upstream is told in the user's sessions from the next
    /// request on; `None` if there is no such user. A membership that ends takes the sessions on
    /// that site with it. It runs detached from the caller.
    pub async fn update_user(
        self: &Arc<Self>,
        id: UserId,
        change: UserChange,
        cause: &Cause,
    ) -> StoreResult<Option<User>> {
        let (sso, cause) = (Arc::clone(self), cause.clone());
        to_its_end(async move { sso.change_user(id, change, &cause).await }).await
    }

    async fn change_user(&self, id: UserId, change: UserChange, cause: &Cause) -> StoreResult<Option<User>> {
        let left: Vec<SiteName> =
            change.roles.iter().filter(|(_, role)| role.is_none()).map(|(site, _)| site.clone()).collect();
        let Some(user) = self.stores.directory.update(id, change).await? else {
            return Ok(None);
        };
        self.note(Event::UserChanged { user: id }, cause);
        if !left.is_empty() {
            let filter = SessionFilter { email_key: Some(user.email.key().into()), sites: Some(left) };
            self.end_sessions(filter, cause).await?;
        }
        self.refresh_sessions(&user, cause).await?;
        Ok(Some(user))
    }

    /// Deletes a user and ends the user's sessions; whether there was one. It runs detached from the caller.
    pub async fn delete_user(self: &Arc<Self>, id: UserId, cause: &Cause) -> StoreResult<bool> {
        let (sso, cause) = (Arc::clone(self), cause.clone());
        to_its_end(async move { sso.remove_user(id, &cause).await }).await
    }

    async fn remove_user(&self, id: UserId, cause: &Cause) -> StoreResult<bool> {
        let Some(user) = self.stores.directory.remove(id).await? else {
            return Ok(false);
        };
        self.note(Event::UserDeleted { user: id }, cause);
        let filter = SessionFilter { email_key: Some(user.email.key().into()), sites: None };
        self.end_sessions(filter, cause).await?;
        Ok(true)
    }
}
