//! What a visitor was about to do when it turned out that a login has to come first.
//!
//! All of it belongs to a browser, and everything that has to be known of it later is derived from the
//! browser's own key: where it is kept, the key under which it is kept there, and who may ask for it.
//! So nothing that the server stores can be read, or be put into another browser's hands, by whoever
//! reads the store.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::email::Email;
use super::identity::Identity;
use super::opaque::SessionHash;
use super::site::SiteName;
use super::state::BrowserKey;

/// How long it is kept. Who takes longer to sign in has left.
pub const KEPT_FOR: Duration = Duration::from_mins(15);

/// The longest body that is kept, in bytes.
pub const MAX_BODY: usize = 256 * 1024;

/// A request that waits for its visitor's login.
#[derive(Clone, PartialEq, Eq)]
pub struct Paused {
    /// What came with it.
    pub content: Content,
    /// Who sent it.
    pub sender: Sender,
}

/// What is left of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// All that is needed to send it again.
    Whole(Post),
    /// It was more, or of another kind, than is kept: only that it was.
    Lost,
}

/// A POST.
#[derive(Clone, PartialEq, Eq)]
pub struct Post {
    /// Its path, as it was judged.
    pub path: String,
    /// Its query.
    pub query: Option<String>,
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
    /// Who made the browser send it.
    pub manner: Manner,
}

/// How a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A person sent a form, and waits for the page that comes of it.
    Form,
    /// A script sent it, and wished that it be kept.
    Script,
}

/// Who sent a request that has no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Somebody who presented none.
    Stranger,
    /// Somebody whose session is over, and nobody knows who that was.
    Unknown,
    /// The person whom [`BrowserKey::person_tag`] names like this.
    Person(String),
}

impl fmt::Debug for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paused(redacted)")
    }
}

/// By what a paused request is found: which browser's it is, and to which page its visitor comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParkedId {
    /// The browser on a site.
    pub browser: [u8; 32],
    /// The page.
    pub page: [u8; 32],
}

/// 128 bits that only the owner of a [`BrowserKey`], or the server to which it was shown, can make.
pub struct BrowserTag([u8; 16]);

impl BrowserTag {
    /// The tag as text, of 22 URL-safe characters.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Whether `text` is this tag, in constant time.
    pub fn is(&self, text: &[u8]) -> bool {
        self.expose().as_bytes().ct_eq(text).into()
    }
}

impl BrowserKey {
    /// By what everything is found that is kept of this browser on `site`.
    pub fn browser_id(&self, site: &SiteName) -> [u8; 32] {
        self.tag([b"tollgate berths\0", site.as_str().as_bytes()])
    }

    /// By what is found what a visitor to `site` who comes back to the URL `page` goes on with.
    pub fn parked_id(&self, site: &SiteName, page: &str) -> ParkedId {
        let tag = self.tag([b"tollgate berth\0", site.as_str().as_bytes(), b"\0", page.as_bytes()]);
        ParkedId { browser: self.browser_id(site), page: tag }
    }

    /// The key for what is kept under `id`, another one for each `salt`.
    pub fn sealing_key(&self, id: &ParkedId, salt: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.tag([b"tollgate parcel\0", &id.browser, &id.page, salt]))
    }

    /// With this the browser may go on with what it was about at `page`, in the session `session`,
    /// which began with a token that `was_asked_for` by this browser, or came out of the blue.
    pub fn resume_ticket(
        &self,
        site: &SiteName,
        page: &str,
        session: &SessionHash,
        was_asked_for: bool,
    ) -> BrowserTag {
        let site = site.as_str().as_bytes();
        let flag: &[u8] = if was_asked_for { b"1" } else { b"0" };
        self.short([b"tollgate resume\0", site, b"\0", session.as_bytes(), flag, page.as_bytes()])
    }

    /// How the browser remembers who was signed in last; `None` for somebody of whom nothing is known.
    pub fn person_tag(&self, site: &SiteName, who: &Identity) -> Option<BrowserTag> {
        let email = who.email.as_ref().map(Email::key);
        let (kind, name): (&[u8], &str) = match (email, &who.details.external_id) {
            (Some(email), _) => (b"\0email\0", email),
            (None, Some(id)) => (b"\0id\0", id),
            (None, None) => return None,
        };
        Some(self.short([b"tollgate person\0", site.as_str().as_bytes(), kind, name.as_bytes()]))
    }

    /// What a fragment has to come with that is kept for the URL `page`.
    pub fn fragment_tag(&self, site: &SiteName, page: &str) -> BrowserTag {
        self.short([b"tollgate fragment\0", site.as_str().as_bytes(), b"\0", page.as_bytes()])
    }

    fn short<const N: usize>(&self, parts: [&[u8]; N]) -> BrowserTag {
        BrowserTag(self.tag(parts).first_chunk().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;

    #[test]
    fn everything_belongs_to_one_browser_one_site_and_one_page() {
        let entropy = SeededEntropy::new(11);
        let (browser, other) = (BrowserKey::mint(&entropy), BrowserKey::mint(&entropy));
        let (a, b) = (SiteName::parse("a").unwrap(), SiteName::parse("b").unwrap());
        let id = browser.parked_id(&a, "https://a.example/x");
        assert_eq!(id, browser.parked_id(&a, "https://a.example/x"));
        assert_eq!(id.browser, browser.browser_id(&a));
        assert_eq!(id.browser, browser.parked_id(&a, "https://a.example/y").browser);
        for elsewhere in [
            other.parked_id(&a, "https://a.example/x"),
            browser.parked_id(&b, "https://a.example/x"),
            browser.parked_id(&a, "https://a.example/y"),
        ] {
            assert_ne!(id.page, elsewhere.page);
        }
        assert_ne!(browser.sealing_key(&id, &[0; 32]), other.sealing_key(&id, &[0; 32]));
        assert_ne!(browser.sealing_key(&id, &[0; 32]), browser.sealing_key(&id, &[1; 32]));
    }

    #[test]
    fn a_ticket_is_for_one_session_and_says_how_that_began() {
        let browser = BrowserKey::mint(&SeededEntropy::new(12));
        let site = SiteName::parse("a").unwrap();
        let sessions = [[1; 32], [2; 32]].map(SessionHash::from_bytes);
        let ticket = |session: usize, flag| {
            browser.resume_ticket(&site, "https://a.example/", &sessions[session], flag)
        };
        assert!(ticket(0, true).is(ticket(0, true).expose().as_bytes()));
        assert!(!ticket(0, true).is(ticket(0, false).expose().as_bytes()));
        assert!(!ticket(0, true).is(ticket(1, true).expose().as_bytes()));
        assert!(!ticket(0, true).is(b""));
    }
}
