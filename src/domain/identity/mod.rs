//! Who the upstream is told of, and in which headers.

mod class;
mod credentials;
mod encoding;
mod headers;
mod template;

pub use class::{ANONYMOUS, AccessClass, BACKEND, PLAN_PREFIX, REGISTERED};
pub use credentials::Credentials;
pub use encoding::ValueEncoding;
pub use headers::{Edition, HeaderRule, IdentityHeaders, ReadyHeaders, begins_like, reads_like};
pub use template::{HeaderTemplate, TemplateFault};

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::email::Email;
use super::user::{PersonName, Role, UserId};

/// What is known of the person behind a token or a session. All of it may be absent: a token
/// without an e-mail address opens an anonymous session.
///
/// A session keeps one, so each part is shared with whoever else has it, the directory above all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The directory's entry, if there is one.
    pub user: Option<UserId>,
    /// The person's address.
    pub email: Option<Email>,
    /// The person's name.
    pub name: Option<PersonName>,
    /// The role on the site.
    pub role: Option<Role>,
    /// What the login page alone knows.
    pub details: Details,
}

/// What only the login page knows of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Particulars {
    /// The login page's own name for the person.
    pub external_id: Option<String>,
    /// Groups, in the login page's order.
    pub groups: Vec<String>,
    /// Plans or subscriptions, in the login page's order.
    pub plans: Vec<String>,
    /// Whatever else the login page wants the upstream to know.
    pub attributes: BTreeMap<String, String>,
}

/// [`Particulars`], shared. Most logins come without any, and these take no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details(Option<Arc<Particulars>>);

static NO_PARTICULARS: Particulars =
    Particulars { external_id: None, groups: Vec::new(), plans: Vec::new(), attributes: BTreeMap::new() };

impl From<Particulars> for Details {
    fn from(particulars: Particulars) -> Self {
        Self((particulars != NO_PARTICULARS).then(|| Arc::new(particulars)))
    }
}

impl Deref for Details {
    type Target = Particulars;

    fn deref(&self) -> &Particulars {
        self.0.as_deref().unwrap_or(&NO_PARTICULARS)
    }
}
