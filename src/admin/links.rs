//! Test logins: a link that signs somebody in, as a login page would make it.

use std::sync::Arc;

use askama::Template;

use super::Visit;
use super::answer::{Answer, Trouble, shown};
use super::guard;
use super::posted::Posted;
use super::sheet::Sheet;
use super::words::When;
use crate::config::Site;
use crate::domain::email::Email;
use crate::domain::identity::Details;
use crate::domain::user::{PersonName, turns_text};
use crate::http::Request;
use crate::sso::{Member, TokenOrder};

const MAX_URL_CHARS: usize = 2_000;

#[derive(Template)]
#[template(path = "admin/links.html")]
struct Links {
    sheet: Sheet,
    sites: Vec<(String, bool)>,
    form: Filled,
    fault: Option<String>,
    made: Option<Made>,
}

/// What was filled in.
#[derive(Default)]
struct Filled {
    site: String,
    email: String,
    name: String,
    return_url: String,
}

/// A link, which is shown this once.
struct Made {
    url: String,
    site: String,
    email: String,
    until: When,
    user_created: bool,
}

impl Visit<'_> {
    pub(super) async fn links(&self, request: Request) -> Answer {
        if !guard::is_posted(&request)? {
            let form = Filled { site: self.query.text("site").to_owned(), ..Filled::default() };
            return self.links_page(form, None, None);
        }
        let posted = self.posted(request).await?;
        let form = Filled::of(&posted);
        match self.order(&form) {
            Err(fault) => self.links_page(form, Some(fault), None),
            Ok((site, email, name)) => {
                let made = self.make(&site, email, name, &form).await?;
                self.links_page(form, None, Some(made))
            }
        }
    }

    fn order(&self, form: &Filled) -> Result<(Arc<Site>, Email, PersonName), String> {
        let site = self.scene.site(&form.site).ok_or("Choose a site.")?;
        if site.require_state {
            return Err(format!(
                "{} takes a token only from the browser that began to sign in (require_state): no link that is made \
                 here could open it.",
                site.name
            ));
        }
        let email = Email::parse(&form.email).ok_or("Fill in an e-mail address like jane@example.com.")?;
        let is_name = |text: &str| !text.is_empty() && text.chars().count() <= PersonName::MAX_CHARS;
        if !is_name(&form.name) || form.name.contains(|c: char| c.is_control() || turns_text(c)) {
            return Err("Fill in a name.".to_owned());
        }
        if form.return_url.chars().count() > MAX_URL_CHARS || form.return_url.chars().any(char::is_control) {
            return Err("The page to open is not a valid address.".to_owned());
        }
        Ok((Arc::clone(site), email, PersonName::from_full(&form.name)))
    }

    async fn make(
        &self,
        site: &Arc<Site>,
        email: Email,
        name: PersonName,
        form: &Filled,
    ) -> Result<Made, Trouble> {
        let return_url = Some(form.return_url.clone()).filter(|url| !url.is_empty());
        let shown = email.as_str().to_owned();
        let member = Member { email, name, details: Details::default() };
        let order = TokenOrder { return_url: return_url.clone(), ..TokenOrder::default() };
        let issued = self.scene.sso.issue_for_member(site, member, order, &self.cause).await;
        let issued = issued?;
        let url = self.scene.api.redeem_link(site, return_url.as_deref(), &issued.token);
        let nowhere =
            || Trouble::Invalid("Nobody knows where visitors find this site: set public_url.".to_owned());
        Ok(Made {
            url: url.ok_or_else(nowhere)?,
            site: site.name.to_string(),
            email: shown,
            until: When::near(issued.expires_at, self.now),
            user_created: issued.user_created,
        })
    }

    fn links_page(&self, form: Filled, fault: Option<String>, made: Option<Made>) -> Answer {
        let sites =
            self.scene.sites().iter().map(|site| (site.name.to_string(), site.require_state)).collect();
        shown(&Links { sheet: self.told_sheet("Test logins", "links"), sites, form, fault, made })
    }
}

impl Filled {
    fn of(posted: &Posted) -> Self {
        let text = |name| posted.text(name).to_owned();
        Self { site: text("site"), email: text("email"), name: text("name"), return_url: text("return_url") }
    }
}
