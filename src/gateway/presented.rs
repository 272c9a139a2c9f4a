//! The cookies of a request: read once for all requests of a connection that come with the same,
//! which are nearly all.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;
use zeroize::Zeroizing;

use crate::config::Site;
use crate::domain::secret::are_same;
use crate::domain::session::LiveSession;
use crate::http::cookies::{CookieNames, GatewayCookies, is_named, only_value};
use crate::proxy::Introduction;

/// What a browser presents, and whom that was found to be.
pub(super) struct Presented {
    lines: Vec<Zeroizing<Vec<u8>>>,
    pub(super) cookies: GatewayCookies,
    /// The visitor whom the store knew by these cookies. Whether that still holds, the session
    /// itself tells.
    pub(super) recognised: RefCell<Option<Arc<LiveSession>>>,
    /// What the upstream is told of this visitor.
    introduction: RefCell<Option<Rc<Introduction>>>,
}

impl Presented {
    /// Reads the cookies in `headers`.
    pub(super) fn read(headers: &HeaderMap, names: &CookieNames) -> Self {
        let lines = headers.get_all(COOKIE).into_iter().map(|line| Zeroizing::new(line.as_bytes().to_vec()));
        Self {
            lines: lines.collect(),
            cookies: GatewayCookies::read(headers, names),
            recognised: RefCell::default(),
            introduction: RefCell::default(),
        }
    }

    /// The store knows this visitor by these cookies.
    pub(super) fn recognise(&self, visitor: Option<Arc<LiveSession>>) {
        self.introduction.replace(None);
        self.recognised.replace(visitor);
    }

    /// The visitor comes again, and most who come twice come oftener: what the upstream of `site` is
    /// told is written once for all of these times.
    pub(super) fn prepare(&self, visitor: &Arc<LiveSession>, site: &Site) {
        let mut introduction = self.introduction.borrow_mut();
        introduction.get_or_insert_with(|| Rc::new(Introduction::new(Arc::clone(visitor), site)));
    }

    /// What the upstream is told of the visitor, if that is written already.
    pub(super) fn introduction(&self) -> Option<Rc<Introduction>> {
        self.introduction.borrow().clone()
    }

    /// The value of the cookie `name`, if there is one such cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<&[u8]> {
        only_value(self.lines.iter().map(|line| line.as_slice()), name)
    }

    /// Whether there is a cookie `name`, be it unclear which.
    pub(super) fn has_cookie(&self, name: &str) -> bool {
        is_named(self.lines.iter().map(|line| line.as_slice()), name)
    }

    /// Whether `headers` come with the very same lines.
    ///
    /// In constant time: a proxy in front may send the requests of many visitors over one
    /// connection, and none of them is to find out about the others' cookies by guessing.
    pub(super) fn is_the_same(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(COOKIE).into_iter();
        let all =
            self.lines.iter().all(|own| lines.next().is_some_and(|line| are_same(own, line.as_bytes())));
        all && lines.next().is_none()
    }
}
