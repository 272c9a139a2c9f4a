//! What a visitor was about to do before the login came in between, sent again by the visitor's own
//! browser.
//!
//! A form is sent as a form, so that what comes of it is the next page. The page that does it has
//! everything in its markup, and one script that is the same on every such page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::return_to::ReturnTo;
use crate::http::form::Form;

/// A request that was paused.
#[derive(Clone, Copy, Debug)]
pub struct PausedPage<'a> {
    /// What is left of it.
    pub what: What<'a>,
    /// Whether it is sent without the visitor's doing.
    pub by_itself: bool,
    /// Whom the visitor is signed in as, if that is known.
    pub who: Option<&'a str>,
    /// Where to go on without it.
    pub next: &'a ReturnTo,
}

/// What is left of a request that was paused.
#[derive(Clone, Copy)]
pub enum What<'a> {
    /// A form.
    Form {
        /// Its fields.
        form: &'a Form,
        /// Where it goes.
        action: &'a ReturnTo,
    },
    /// A body that only a script can send.
    Body {
        /// Where it goes.
        url: &'a ReturnTo,
        /// Its type.
        content_type: &'a str,
        /// The body in base64.
        body: &'a str,
    },
    /// Nothing.
    Lost,
}

impl std::fmt::Debug for What<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("What(redacted)")
    }
}

impl PausedPage<'_> {
    pub(super) const fn title(&self) -> &'static str {
        match (&self.what, self.by_itself) {
            (What::Lost, _) => "What you sent did not arrive",
            (What::Form { .. } | What::Body { .. }, true) => "One moment, your message is on its way",
            (What::Form { .. } | What::Body { .. }, false) => "Shall this be sent?",
        }
    }

    pub(super) fn needs_a_script(&self) -> bool {
        match &self.what {
            What::Form { form, .. } => form.has_files(),
            What::Body { .. } => true,
            What::Lost => false,
        }
    }
}

/// Bytes as scripts read them.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
