//! Users: who is known, the role on each site, the account, and deleting somebody.

use std::collections::BTreeMap;

use askama::Template;

use super::Visit;
use super::answer::{Answer, Trouble, go, shown};
use super::guard;
use super::posted::Posted;
use super::query::Query;
use super::sessions::{Confirm, PAGE};
use super::sheet::Sheet;
use super::words::When;
use crate::domain::email::Email;
use crate::domain::site::SiteName;
use crate::domain::user::{Account, Role, User, UserId};
use crate::http::{Request, Response};
use crate::store::{UserChange, UserFilter};

#[derive(Template)]
#[template(path = "admin/users.html")]
struct Users {
    sheet: Sheet,
    sought: String,
    site: String,
    sites: Vec<String>,
    rows: Vec<Row>,
    is_behind: bool,
    first: String,
    next: Option<String>,
    fault: Option<&'static str>,
}

struct Row {
    id: String,
    email: String,
    name: String,
    account: &'static str,
    roles: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "admin/user.html")]
struct OneUser {
    sheet: Sheet,
    id: String,
    email: String,
    name: String,
    created: When,
    is_full: bool,
    /// Each site, the role there, and where that is ended.
    roles: Vec<(String, String, String)>,
    /// Sites of which the person is no member.
    others: Vec<String>,
    sessions: String,
    fault: Option<&'static str>,
}

/// What a role may look like.
const NO_ROLE: &str = "A role has 1 to 64 letters, digits, and signs out of . _ : -";

impl Visit<'_> {
    pub(super) async fn list_users(&self, request: &Request) -> Answer {
        guard::only_looks(request)?;
        let (text, site) = (self.query.text("q"), self.query.text("site"));
        if let Some(id) = UserId::parse(text) {
            return Ok(go(&format!("/admin/users/{id}")));
        }
        let email = Email::parse(text);
        let fault = (!text.is_empty() && email.is_none())
            .then_some("This is not a valid e-mail address or user number.");
        let after = UserId::parse(self.query.text("after"));
        let filter = UserFilter {
            email_key: email.map(|email| email.key().into()),
            sites: self.scene.site(site).map(|site| vec![site.name.clone()]),
        };
        let (entries, next) = if fault.is_some() {
            (Vec::new(), None)
        } else {
            let page = self.scene.sso.list_users(filter, after, PAGE).await;
            let page = page?;
            (page.entries, page.next)
        };
        let link =
            |after: &str| Query::link("/admin/users", &[("q", text), ("site", site), ("after", after)]);
        shown(&Users {
            sheet: self.told_sheet("Users", "users"),
            sought: text.to_owned(),
            site: site.to_owned(),
            sites: self.site_names(),
            rows: entries.iter().map(row).collect(),
            is_behind: after.is_some(),
            first: link(""),
            next: next.map(|next| link(&next.to_string())),
            fault,
        })
    }

    async fn user(&self, id: &str) -> Result<User, Trouble> {
        let gone = || Trouble::NotFound("user");
        let id = UserId::parse(id).ok_or_else(gone)?;
        let found = self.scene.sso.find_user(id).await;
        found?.ok_or_else(gone)
    }

    pub(super) async fn show_user(&self, request: &Request, id: &str) -> Answer {
        guard::only_looks(request)?;
        let user = self.user(id).await?;
        self.user_page(&user, None)
    }

    fn user_page(&self, user: &User, fault: Option<&'static str>) -> Answer {
        let others = self.scene.sites().iter().filter(|site| !user.roles.contains_key(&site.name));
        shown(&OneUser {
            sheet: self.told_sheet("User", "users"),
            id: user.id.to_string(),
            email: user.email.as_str().to_owned(),
            name: user.name.full().to_owned(),
            created: When::near(user.created_at, self.now),
            is_full: user.account == Account::Full,
            roles: roles(user)
                .into_iter()
                .map(|(site, role)| {
                    let leave = Query::link(&format!("/admin/users/{}/leave", user.id), &[("site", &site)]);
                    (site, role, leave)
                })
                .collect(),
            others: others.map(|site| site.name.to_string()).collect(),
            sessions: Query::link("/admin/sessions", &[("q", user.email.as_str())]),
            fault,
        })
    }

    /// Changes a user, as a form wants.
    pub(super) async fn change_user(&self, request: Request, id: &str, change: &str) -> Answer {
        let is_posted = guard::is_posted(&request)?;
        match (change, is_posted) {
            ("delete", false) => return self.ask_deletion(id).await,
            ("leave", false) => return self.ask_leaving(id).await,
            ("role" | "account" | "delete" | "leave", true) => {}
            ("role" | "account", false) => return Err(Trouble::Method("POST")),
            _ => return Err(Trouble::NotFound("page")),
        }
        let posted = self.posted(request).await?;
        let user = self.user(id).await?;
        match change {
            "role" => self.change_role(&user, &posted).await,
            "account" => self.change_account(&user, &posted).await,
            "leave" => self.end_membership(&user, &posted).await,
            _ => self.delete_user(&user).await,
        }
    }

    async fn change_role(&self, user: &User, posted: &Posted) -> Answer {
        let site = self.named_site(posted.text("site"))?;
        let Some(role) = Role::parse(posted.text("role")) else { return self.user_page(user, Some(NO_ROLE)) };
        let notice = format!("{} is {} on {site} from now on.", user.email.as_str(), role.as_str());
        let roles = BTreeMap::from([(site, Some(role))]);
        self.apply(user, UserChange { roles, ..UserChange::default() }, notice).await
    }

    async fn change_account(&self, user: &User, posted: &Posted) -> Answer {
        let account = Account::parse(posted.text("account"));
        let account = account.ok_or_else(|| Trouble::Invalid("An account is guest or full.".to_owned()))?;
        let notice = format!("The account of {} is {} from now on.", user.email.as_str(), account.as_str());
        self.apply(user, UserChange { account: Some(account), ..UserChange::default() }, notice).await
    }

    async fn end_membership(&self, user: &User, posted: &Posted) -> Answer {
        let site = SiteName::parse(posted.text("site")).filter(|site| user.roles.contains_key(site));
        let site = site.ok_or(Trouble::NotFound("membership"))?;
        let notice = format!("{} is no longer a member of {site}.", user.email.as_str());
        let roles = BTreeMap::from([(site, None)]);
        self.apply(user, UserChange { roles, ..UserChange::default() }, notice).await
    }

    fn named_site(&self, name: &str) -> Result<SiteName, Trouble> {
        let site = self.scene.site(name);
        site.map(|site| site.name.clone()).ok_or(Trouble::NotFound("site"))
    }

    async fn apply(&self, user: &User, change: UserChange, notice: String) -> Result<Response, Trouble> {
        let changed = self.scene.sso.update_user(user, change, &self.cause).await?;
        changed.ok_or(Trouble::NotFound("user"))?;
        Ok(self.go_and_say(&format!("/admin/users/{}", user.id), notice))
    }

    async fn delete_user(&self, user: &User) -> Answer {
        self.scene.sso.delete_user(user, &self.cause).await?;
        Ok(self.go_and_say("/admin/users", format!("{} is deleted.", user.email.as_str())))
    }

    async fn ask_deletion(&self, id: &str) -> Answer {
        let user = self.user(id).await?;
        shown(&Confirm {
            sheet: self.sheet("Delete a user", "users"),
            question: format!("Delete {}?", user.email.as_str()),
            consequences: vec![
                "Name, account and roles are forgotten, and all sessions of the person end.".to_owned(),
                "If the login page lets the person in again, that begins anew, as editor.".to_owned(),
            ],
            action: format!("/admin/users/{id}/delete"),
            fields: Vec::new(),
            button: "Delete the user",
            back: format!("/admin/users/{id}"),
        })
    }

    async fn ask_leaving(&self, id: &str) -> Answer {
        let user = self.user(id).await?;
        let site = SiteName::parse(self.query.text("site")).filter(|site| user.roles.contains_key(site));
        let site = site.ok_or(Trouble::NotFound("membership"))?;
        shown(&Confirm {
            sheet: self.sheet("End a membership", "users"),
            question: format!("Take {} off the site {site}?", user.email.as_str()),
            consequences: vec![
                "The role there is forgotten, and the person’s sessions there end.".to_owned(),
                "If the login page lets the person in again, that begins anew, as editor.".to_owned(),
            ],
            action: format!("/admin/users/{id}/leave"),
            fields: vec![("site", site.to_string())],
            button: "End the membership",
            back: format!("/admin/users/{id}"),
        })
    }
}

fn row(user: &User) -> Row {
    Row {
        id: user.id.to_string(),
        email: user.email.as_str().to_owned(),
        name: user.name.full().to_owned(),
        account: user.account.as_str(),
        roles: roles(user),
    }
}

fn roles(user: &User) -> Vec<(String, String)> {
    user.roles.iter().map(|(site, role)| (site.to_string(), role.as_str().to_owned())).collect()
}
