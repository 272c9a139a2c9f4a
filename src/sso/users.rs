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
    ///
    /// If the store fails it can be asked for again, but for one thing: whoever may act for some sites alone
    /// does not find a user there any more who has left them. What is open then goes on by itself.
    pub async fn update_user(
        self: &Arc<Self>,
        user: &User,
        change: UserChange,
        cause: &Cause,
    ) -> StoreResult<Option<User>> {
        let left: Vec<SiteName> =
            change.roles.iter().filter(|(_, role)| role.is_none()).map(|(site, _)| site.clone()).collect();
        let leaving = (!left.is_empty()).then(|| sessions_of(user, Some(left)));
        let (sso, id, cause) = (Arc::clone(self), user.id, cause.clone());
        to_its_end(async move {
            if let Some(filter) = &leaving {
                sso.end_sessions(filter.clone(), &cause).await?;
            }
            let changed = sso.stores.directory.update(id, change).await;
            if let Ok(Some(_)) = &changed {
                sso.note(Event::UserChanged { user: id }, &cause);
            }
            if let Some(filter) = leaving {
                sso.end_sessions_for_good(filter, &cause).await?;
            }
            let Some(user) = changed? else { return Ok(None) };
            sso.refresh_sessions(&user, &cause).await?;
            Ok(Some(user))
        })
        .await
    }

    /// Deletes a user and ends the user's sessions; whether there was one. It runs detached from the caller.
    ///
    /// The sessions end first, as long as the user is there so that it can be asked for again, and once more
    /// behind the deletion, for those that began meanwhile. That the store gives no answer does not mean that
    /// the user is not gone.
    pub async fn delete_user(self: &Arc<Self>, user: &User, cause: &Cause) -> StoreResult<bool> {
        let (filter, id) = (sessions_of(user, None), user.id);
        let (sso, cause) = (Arc::clone(self), cause.clone());
        to_its_end(async move {
            sso.end_sessions(filter.clone(), &cause).await?;
            let deleted = sso.stores.directory.remove(id).await;
            if let Ok(Some(_)) = &deleted {
                sso.note(Event::UserDeleted { user: id }, &cause);
            }
            sso.end_sessions_for_good(filter, &cause).await?;
            Ok(deleted?.is_some())
        })
        .await
    }
}

/// The sessions of `user` on these sites, or on all.
fn sessions_of(user: &User, sites: Option<Vec<SiteName>>) -> SessionFilter {
    SessionFilter { email_key: Some(user.email.key().into()), sites }
}
