//! Requests that wait for their visitor's login: kept so that their browser alone can have them back,
//! once.

use std::net::IpAddr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Cause, Event, Sso};
use crate::domain::entropy::Entropy;
use crate::domain::network::network_of;
use crate::domain::paused::{Content, KEPT_FOR, Manner, ParkedId, Paused, Post, Sender};
use crate::domain::site::SiteName;
use crate::domain::state::BrowserKey;
use crate::store::{SealedRequest, StoreResult, Unavailable};

impl Sso {
    /// Keeps what `browser` sent to `site` from `address`, until its visitor has signed in and comes
    /// back to the URL `page`.
    pub async fn park(
        &self,
        browser: &BrowserKey,
        site: &SiteName,
        page: &str,
        paused: &Paused,
        address: IpAddr,
        cause: &Cause,
    ) -> StoreResult<()> {
        let id = browser.parked_id(site, page);
        let sealed = seal(browser, &id, paused, self.entropy()).ok_or(Unavailable)?;
        let until = self.now().after(KEPT_FOR);
        self.stores.parked.park(id, SealedRequest { network: network_of(address), until, sealed }).await?;
        let bytes = if let Content::Whole(post) = &paused.content { post.body.len() } else { 0 };
        self.note(Event::RequestParked { site, bytes }, cause);
        Ok(())
    }

    /// Whether something of `browser` waits for a visitor who comes back to `page`.
    pub async fn has_parked(&self, browser: &BrowserKey, site: &SiteName, page: &str) -> StoreResult<bool> {
        self.stores.parked.holds(browser.parked_id(site, page)).await
    }

    /// Hands out what `browser` was about at `page`, and never again.
    pub async fn take_parked(
        &self,
        browser: &BrowserKey,
        site: &SiteName,
        page: &str,
        cause: &Cause,
    ) -> StoreResult<Option<Paused>> {
        let id = browser.parked_id(site, page);
        let Some(sealed) = self.stores.parked.take(id, self.now()).await? else { return Ok(None) };
        let paused = open(browser, &id, sealed);
        if paused.is_some() {
            self.note(Event::RequestResumed { site }, cause);
        }
        Ok(paused)
    }

    /// Forgets what `browser` was about on `site`.
    pub async fn forget_parked(&self, browser: &BrowserKey, site: &SiteName) -> StoreResult<()> {
        self.stores.parked.clear(browser.browser_id(site)).await
    }
}

/// Everything but the body, which stands behind it.
#[derive(Serialize, Deserialize)]
struct Head {
    sender: Option<String>,
    is_stranger: bool,
    post: Option<PostHead>,
}

#[derive(Serialize, Deserialize)]
struct PostHead {
    path: String,
    query: Option<String>,
    content_type: String,
    by_script: bool,
}

/// A line of JSON, in which there is no line feed, and the body.
fn write(paused: &Paused) -> Option<Vec<u8>> {
    let (post, body) = match &paused.content {
        Content::Lost => (None, Bytes::new()),
        Content::Whole(post) => {
            let head = PostHead {
                path: post.path.clone(),
                query: post.query.clone(),
                content_type: post.content_type.clone(),
                by_script: post.manner == Manner::Script,
            };
            (Some(head), post.body.clone())
        }
    };
    let sender = if let Sender::Person(tag) = &paused.sender { Some(tag.clone()) } else { None };
    let head = Head { sender, is_stranger: paused.sender == Sender::Stranger, post };
    let mut record = serde_json::to_vec(&head).ok()?;
    record.push(b'\n');
    record.extend_from_slice(&body);
    Some(record)
}

fn read(record: &[u8]) -> Option<Paused> {
    let end = record.iter().position(|byte| *byte == b'\n')?;
    let (head, rest) = record.split_at(end);
    let head: Head = serde_json::from_slice(head).ok()?;
    let sender = match (head.sender, head.is_stranger) {
        (Some(tag), _) => Sender::Person(tag),
        (None, true) => Sender::Stranger,
        (None, false) => Sender::Unknown,
    };
    let content = head.post.map_or(Content::Lost, |post| {
        Content::Whole(Post {
            path: post.path,
            query: post.query,
            content_type: post.content_type,
            body: Bytes::copy_from_slice(rest.get(1..).unwrap_or_default()),
            manner: if post.by_script { Manner::Script } else { Manner::Form },
        })
    });
    Some(Paused { content, sender })
}

const SALT: usize = 32;

/// The salt, and the record under the key that `browser` has for it. Each salt makes another key, so
/// that no nonce is used twice under one.
fn seal(browser: &BrowserKey, id: &ParkedId, paused: &Paused, entropy: &dyn Entropy) -> Option<Vec<u8>> {
    let mut salt = [0; SALT];
    entropy.fill(&mut salt);
    let mut record = write(paused)?;
    let place = Aad::from(id.page);
    cipher(browser, id, &salt)?.seal_in_place_append_tag(nonce(), place, &mut record).ok()?;
    Some([salt.as_slice(), &record].concat())
}

fn open(browser: &BrowserKey, id: &ParkedId, mut sealed: Vec<u8>) -> Option<Paused> {
    let (salt, record) = sealed.split_first_chunk_mut::<SALT>()?;
    let record = cipher(browser, id, salt)?.open_in_place(nonce(), Aad::from(id.page), record).ok()?;
    read(record)
}

fn cipher(browser: &BrowserKey, id: &ParkedId, salt: &[u8; SALT]) -> Option<LessSafeKey> {
    let key = browser.sealing_key(id, salt);
    UnboundKey::new(&AES_256_GCM, key.as_slice()).ok().map(LessSafeKey::new)
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;

    fn paused(body: &'static [u8]) -> Paused {
        let post = Post {
            path: "/a\nb".to_owned(),
            query: Some("x=1".to_owned()),
            content_type: "application/json".to_owned(),
            body: Bytes::from_static(body),
            manner: Manner::Script,
        };
        Paused { content: Content::Whole(post), sender: Sender::Person("tag".to_owned()) }
    }

    #[test]
    fn only_the_browser_whose_it_is_can_open_it_and_only_at_its_place() {
        let entropy = SeededEntropy::new(3);
        let (browser, other) = (BrowserKey::mint(&entropy), BrowserKey::mint(&entropy));
        let site = SiteName::parse("a").unwrap();
        let (here, there) =
            (browser.parked_id(&site, "https://a/1"), browser.parked_id(&site, "https://a/2"));
        for paused in [
            paused(b"{\"secret\":\n\x00\xff}"),
            paused(b""),
            Paused { content: Content::Lost, sender: Sender::Stranger },
            Paused { content: Content::Lost, sender: Sender::Unknown },
        ] {
            let sealed = seal(&browser, &here, &paused, &entropy).unwrap();
            assert!(open(&browser, &here, sealed.clone()) == Some(paused));
            assert!(open(&other, &here, sealed.clone()).is_none());
            assert!(open(&browser, &there, sealed.clone()).is_none());
            assert!(!sealed.windows(6).any(|part| part == b"secret"));
            for index in 0..sealed.len() {
                let mut tampered = sealed.clone();
                tampered[index] ^= 1;
                assert!(open(&browser, &here, tampered).is_none(), "{index}");
            }
        }
    }
}
