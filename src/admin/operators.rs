//! Who has signed in to the admin page.
//!
//! Of a browser's cookie only the hash is kept, in memory alone: whoever restarts the gateway signs in anew.
//! A key is never in a cookie, and it has to be one of those in force at each request, so that taking it out
//! of the configuration signs out whoever came in by it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;

use super::{Scene, administers};
use crate::domain::clock::Timestamp;
use crate::domain::entropy::Entropy;
use crate::domain::host::Scheme;
use crate::domain::opaque::{OperatorHash, OperatorKey};
use crate::domain::secret::{SecretHash, are_same};
use crate::http::cookies::{operator_cookie, values_of};

/// How long a signed-in operator may do nothing.
pub(super) const IDLE: Duration = Duration::from_mins(30);

/// How long a sign-in is good at most.
pub(super) const MAX: Duration = Duration::from_hours(8);

/// Operators at one time. There is never a reason for as many, but a script may sign in again and again.
const MOST: usize = 256;

/// Cookies of the name that are looked at: pages on other ports of this host could plant some.
const MOST_COOKIES: usize = 16;

/// Everybody who has signed in.
#[derive(Default)]
pub(super) struct Operators(RefCell<HashMap<OperatorHash, Rc<Operator>>>);

/// Somebody who has signed in.
pub(super) struct Operator {
    /// The name of the key that was shown.
    pub(super) key: String,
    secret: SecretHash,
    hash: OperatorHash,
    /// What the forms on this operator's pages have to send along.
    token: OperatorKey,
    began: Timestamp,
    last_seen: Cell<Timestamp>,
    /// What to say on the next page.
    notice: RefCell<Option<String>>,
}

impl Operators {
    /// Signs in the holder of the key called `name` whose secret has this hash. What the browser is to keep.
    pub(super) fn admit(
        &self,
        name: &str,
        secret: SecretHash,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> OperatorKey {
        let mut all = self.0.borrow_mut();
        if all.len() >= MOST
            && let Some(hash) = all.values().min_by_key(|own| own.last_seen.get()).map(|own| own.hash)
        {
            all.remove(&hash);
        }
        let cookie = OperatorKey::mint(entropy);
        let hash = cookie.hash();
        let operator = Operator {
            key: name.to_owned(),
            secret,
            hash,
            token: OperatorKey::mint(entropy),
            began: now,
            last_seen: Cell::new(now),
            notice: RefCell::default(),
        };
        all.insert(hash, Rc::new(operator));
        cookie
    }

    /// Whose request it is. A glance does not keep anybody signed in.
    pub(super) fn find(
        &self,
        scene: &Scene,
        headers: &HeaderMap,
        scheme: Scheme,
        is_glance: bool,
    ) -> Option<Rc<Operator>> {
        let (now, name) = (scene.now(), operator_cookie(scheme));
        let cookies = values_of(headers, &name).take(MOST_COOKIES).filter_map(OperatorKey::parse);
        let found = cookies.filter_map(|cookie| self.0.borrow().get(&cookie.hash()).cloned());
        let operator = found.into_iter().find(|operator| operator.is_good(now))?;
        if !operator.is_admin(scene, now) {
            self.dismiss(&operator);
            return None;
        }
        if !is_glance {
            operator.last_seen.set(now);
        }
        Some(operator)
    }

    /// Signs somebody out.
    pub(super) fn dismiss(&self, operator: &Operator) {
        self.0.borrow_mut().remove(&operator.hash);
    }

    /// Forgets those whose time is over, or whose key: that is not to count again when it comes back.
    pub(super) fn sweep(&self, scene: &Scene) {
        let now = scene.now();
        self.0.borrow_mut().retain(|_, operator| operator.is_good(now) && operator.is_admin(scene, now));
    }
}

impl Operator {
    fn is_good(&self, now: Timestamp) -> bool {
        now < self.last_seen.get().after(IDLE).min(self.began.after(MAX))
    }

    /// Whether the key by which the operator came in still opens. Under another name it is somebody else's,
    /// for all that the audit log knows.
    pub(super) fn is_admin(&self, scene: &Scene, now: Timestamp) -> bool {
        scene.api.key_with(self.secret, now).is_some_and(|key| administers(&key) && key.name == self.key)
    }

    /// What the operator's forms have to send along.
    pub(super) fn token(&self) -> String {
        self.token.expose()
    }

    /// Whether `sent` is that.
    pub(super) fn knows(&self, sent: &str) -> bool {
        are_same(self.token().as_bytes(), sent.as_bytes())
    }

    /// Says something on the next page.
    pub(super) fn notify(&self, notice: String) {
        *self.notice.borrow_mut() = Some(notice);
    }

    /// What is to be said on this page.
    pub(super) fn take_notice(&self) -> Option<String> {
        self.notice.borrow_mut().take()
    }
}
