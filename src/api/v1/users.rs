//! `/v1/users`: who is known, and what they may do where.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::fields::Fields;
use super::super::{Api, Via};
use super::ListQuery;
use crate::config::{ApiKey, Scope};
use crate::domain::site::SiteName;
use crate::domain::user::{Account, PersonName, Role, User, UserId};
use crate::http::{Request, Response, reply};
use crate::store::{UserChange, UserFilter};

impl Api {
    pub(super) async fn list_users(&self, request: &Request, via: &Via) -> Result<Response, ApiError> {
        let key = self.authorize(request.headers(), via, Scope::ReadUsers)?;
        let list = ListQuery::of(request)?;
        let filter = UserFilter { email_key: list.email_key(), sites: self.listed_sites(&list, &key)? };
        let page = self.sso.list_users(filter, list.after(UserId::parse)?, list.limit).await?;
        let users: Vec<Value> = page.entries.iter().map(|user| shown(user, &key)).collect();
        let next = page.next.map(|id| id.to_string());
        Ok(reply::json(StatusCode::OK, &json!({ "users": users, "next_cursor": next })))
    }

    pub(super) async fn show_user(
        &self,
        request: &Request,
        via: &Via,
        id: &str,
    ) -> Result<Response, ApiError> {
        let key = self.authorize(request.headers(), via, Scope::ReadUsers)?;
        let user = self.covered_user(&key, id).await?;
        Ok(reply::json(StatusCode::OK, &shown(&user, &key)))
    }

    pub(super) async fn change_user(
        &self,
        request: Request,
        via: &Via,
        id: &str,
    ) -> Result<Response, ApiError> {
        let (key, fields) = self.authorize_with_fields(request, via, Scope::WriteUsers).await?;
        fields.only(&["first_name", "last_name", "full_name", "account", "roles"])?;
        let user = self.covered_user(&key, id).await?;
        let change = UserChange {
            name: changed_name(&fields, &user.name)?,
            account: fields.parsed("account", "guest or full", Account::parse)?,
            roles: self.changed_roles(&fields, &key)?,
        };
        if change.name.is_some() && !covers_all(&key, user.roles.keys()) {
            return Err(ApiError::shared_user());
        }
        // An account has its effect on each site of which the person becomes a member, be it later.
        let everywhere = self.sso.sites.all().iter().map(|site| &site.name);
        if change.account.is_some() && !covers_all(&key, everywhere.chain(user.roles.keys())) {
            return Err(ApiError::shared_user());
        }
        let changed = self.sso.update_user(&user, change, &via.cause(&key)).await?;
        let changed = changed.ok_or_else(|| ApiError::not_found("user"))?;
        Ok(reply::json(StatusCode::OK, &shown(&changed, &key)))
    }

    pub(super) async fn delete_user(
        &self,
        request: &Request,
        via: &Via,
        id: &str,
    ) -> Result<Response, ApiError> {
        let key = self.authorize(request.headers(), via, Scope::WriteUsers)?;
        let user = self.covered_user(&key, id).await?;
        let deleted = if covers_all(&key, user.roles.keys()) {
            self.sso.delete_user(&user, &via.cause(&key)).await?
        } else {
            // What the holder of this key knows of the user goes; the rest is not the holder's.
            let roles = user.roles.keys().filter(|site| key.covers(site)).map(|site| (site.clone(), None));
            let change = UserChange { roles: roles.collect(), ..UserChange::default() };
            self.sso.update_user(&user, change, &via.cause(&key)).await?.is_some()
        };
        Ok(reply::json(StatusCode::OK, &json!({ "deleted": u8::from(deleted) })))
    }

    /// The user with the number `id`, if there is a site that `key` covers and of which the user
    /// is a member.
    async fn covered_user(&self, key: &ApiKey, id: &str) -> Result<User, ApiError> {
        let not_found = || ApiError::not_found("user");
        let id = UserId::parse(id).ok_or_else(not_found)?;
        let found = self.sso.find_user(id).await?;
        let covered = |user: &User| key.sites.is_none() || user.roles.keys().any(|site| key.covers(site));
        found.filter(covered).ok_or_else(not_found)
    }

    fn changed_roles(
        &self,
        fields: &Fields,
        key: &ApiKey,
    ) -> Result<BTreeMap<SiteName, Option<Role>>, ApiError> {
        let mut roles = BTreeMap::new();
        for (name, role) in fields.object("roles")? {
            let site = self.named_site(key, name).map_err(|fault| fault.into_error("roles", name))?;
            let invalid =
                || ApiError::parameter_invalid("roles", "a role has 1 to 64 of A-Z a-z 0-9 . _ : -");
            let role = role.map(|role| Role::parse(role).ok_or_else(invalid)).transpose()?;
            roles.insert(site.name.clone(), role);
        }
        Ok(roles)
    }
}

/// Name, account and existence are the same on all sites: a key that covers only some of them
/// leaves them alone.
fn covers_all<'a>(key: &ApiKey, mut sites: impl Iterator<Item = &'a SiteName>) -> bool {
    sites.all(|site| key.covers(site))
}

fn changed_name(fields: &Fields, now: &PersonName) -> Result<Option<PersonName>, ApiError> {
    for field in ["full_name", "first_name", "last_name"] {
        if fields.is_empty_text(field) {
            return Err(ApiError::parameter_invalid(field, "it is empty"));
        }
    }
    let first = fields.text("first_name", PersonName::MAX_CHARS)?;
    let last = fields.text("last_name", PersonName::MAX_CHARS)?;
    if let Some(full) = fields.text("full_name", PersonName::MAX_CHARS)? {
        return Ok(Some(PersonName::from_full(full)));
    }
    let changed = first.is_some() || last.is_some();
    Ok(changed.then(|| PersonName::from_parts(first.unwrap_or(now.first()), last.unwrap_or(now.last()))))
}

/// A user, with the roles on those sites that `key` covers.
fn shown(user: &User, key: &ApiKey) -> Value {
    let roles: BTreeMap<&str, &str> = user
        .roles
        .iter()
        .filter(|(site, _)| key.covers(site))
        .map(|(site, role)| (site.as_str(), role.as_str()))
        .collect();
    json!({
        "id": user.id.to_string(),
        "email": user.email.as_str(),
        "first_name": user.name.first(),
        "last_name": user.name.last(),
        "full_name": user.name.full(),
        "account": user.account.as_str(),
        "roles": roles,
        "created_at": user.created_at.to_rfc3339(),
    })
}
