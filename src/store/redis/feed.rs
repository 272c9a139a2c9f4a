//! What nodes tell each other: a session has ended, or changed.
//!
//! The scripts that end or change sessions publish that themselves, so that nothing can come between
//! the one and the other. This node listens, and also sends a beat to itself: a beat that was heard
//! says that all which was published before it has been heard, too. Without beats the
//! [near cache](super::near) is not believed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Msg, cmd};
use futures_util::StreamExt as _;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::driver::Exchange;
use super::keys;
use super::link::{Link, Way};
use super::near::{Near, TRUST};
use super::seal::Mark;
use super::trouble::Trouble;
use crate::domain::opaque::SessionHash;
use crate::domain::session::End;

/// How often the heart beats.
const BEAT: Duration = Duration::from_millis(200);

/// How long to wait before listening anew.
const PAUSE: Duration = Duration::from_millis(100);

/// What is said of a session.
pub(super) enum News {
    /// It has ended.
    Ended(SessionHash, End),
    /// It has changed; the mark of its record now.
    Changed(SessionHash, Mark),
}

impl News {
    /// The message that says it.
    pub(super) fn to_message(&self) -> String {
        let encode = |hash: &SessionHash| keys::encode(hash.as_bytes());
        match self {
            Self::Ended(hash, end) => format!("ended {} {}", encode(hash), end.as_str()),
            Self::Changed(hash, mark) => {
                format!("changed {} {}", encode(hash), String::from_utf8_lossy(mark))
            }
        }
    }

    /// Reads what [`Self::to_message`] writes.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut words = message.split(|byte| *byte == b' ');
        let (what, hash, more) = (words.next()?, words.next()?, words.next()?);
        let hash = SessionHash::from_bytes(keys::decode(hash)?);
        match what {
            b"ended" => Some(Self::Ended(hash, End::parse(std::str::from_utf8(more).ok()?)?)),
            b"changed" => Some(Self::Changed(hash, more.try_into().ok()?)),
            _ => None,
        }
    }
}

/// Listens for as long as the thread lives.
pub(super) async fn follow(way: Arc<Way>, exchange: Arc<Exchange>, near: Arc<Near>, node: String) {
    let channel = keys::beat(&node);
    let mut links = exchange.links();
    loop {
        let link = match links.wait_for(Option::is_some).await {
            Ok(link) => link.clone(),
            Err(_) => return,
        };
        if let Some(link) = link {
            let link_lasts = exchange.links();
            if let Err(trouble) = listen(&way, &near, link, link_lasts, &channel).await {
                // That nothing can be heard costs time and no more: it is said as often as anything, but not that
                // a connection was cut, of which there is soon another.
                let _ = match trouble {
                    Trouble::Lost => exchange.complaints.count(trouble),
                    _ => exchange.complaints.note(trouble),
                };
            }
            near.distrust();
        }
        sleep(PAUSE).await;
    }
}

/// Listens until the link is another one, or nothing is heard any more.
async fn listen(
    way: &Way,
    near: &Near,
    link: Link,
    mut links: tokio::sync::watch::Receiver<Option<Link>>,
    channel: &str,
) -> Result<(), Trouble> {
    let mut heard = way.listen(&link, &[keys::NEWS, channel]).await?.into_on_message();
    near.distrust();
    let is_other = |now: &Option<Link>| now.as_ref().is_none_or(|now| now.number != link.number);
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Number of each beat that is under way, and when it was sent.
    let mut sent: VecDeque<(u64, u64)> = VecDeque::new();
    let mut number = 0_u64;
    loop {
        tokio::select! {
            biased;
            message = heard.next() => match message {
                None => return Err(Trouble::Lost),
                Some(message) if message.get_channel_name() == channel => {
                    note_beat(near, &mut sent, &message);
                }
                Some(message) => note(near, message.get_payload_bytes()),
            },
            _ = links.wait_for(is_other) => return Ok(()),
            _ = beats.tick() => {
                let now = near.elapsed();
                let silent_since = sent.front().map_or(now, |(_, at)| *at);
                if Duration::from_millis(now.saturating_sub(silent_since)) > TRUST {
                    return Err(Trouble::Lost);
                }
                number += 1;
                sent.push_back((number, now));
                let mut connection = link.commands.clone();
                let mut beat = cmd("PUBLISH");
                beat.arg(channel).arg(number);
                // Whether it was sent will be heard.
                tokio::spawn(async move { timeout(TRUST, connection.command(&beat)).await.is_ok() });
            }
        }
    }
}

fn note_beat(near: &Near, sent: &mut VecDeque<(u64, u64)>, message: &Msg) {
    let number = std::str::from_utf8(message.get_payload_bytes()).ok().and_then(|text| text.parse().ok());
    let Some(place) = sent.iter().position(|(own, _)| Some(*own) == number) else { return };
    if let Some((_, at)) = sent.drain(..=place).next_back() {
        near.trust(at);
    }
}

fn note(near: &Near, message: &[u8]) {
    match News::read(message) {
        Some(News::Ended(hash, end)) => drop(near.note_end(hash, end)),
        Some(News::Changed(hash, mark)) => near.note_change(hash, mark),
        // From a later version, say.
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_survive_their_message() {
        let hash = SessionHash::from_bytes([7; 32]);
        for end in End::ALL {
            let message = News::Ended(hash, end).to_message();
            let read = News::read(message.as_bytes());
            assert!(matches!(read, Some(News::Ended(of, with)) if (of, with) == (hash, end)));
        }
        let message = News::Changed(hash, [b'x'; 23]).to_message();
        let read = News::read(message.as_bytes());
        assert!(matches!(read, Some(News::Changed(of, mark)) if (of, mark) == (hash, [b'x'; 23])));
        for nonsense in ["", "ended", "ended x logout", "ended AAAA", &message.replace("changed", "gained")] {
            assert!(News::read(nonsense.as_bytes()).is_none(), "{nonsense}");
        }
    }
}
