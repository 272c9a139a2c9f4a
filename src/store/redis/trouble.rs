//! What can go wrong with a Redis, and saying so without flooding the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::time::Instant;

use crate::store::Unavailable;
use crate::store::record::Damaged;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server cannot be reached, or does not answer in time.
    Lost,
    /// It is no server to write to: a replica, or one that is only starting.
    Unfit,
    /// It refused; the word it gave.
    Refused(&'static str),
    /// No replica said in time that it has what was written.
    Unreplicated,
    /// It does not know a script by its hash.
    UnknownScript,
    /// What it has is not what was written.
    Damaged,
}

/// Words by which servers refuse that tell an operator what to do. Of others only that there was
/// one: they may repeat what they refuse.
const WORDS: [&str; 11] = [
    "OOM",
    "WRONGTYPE",
    "MISCONF",
    "NOREPLICAS",
    "NOPERM",
    "NOAUTH",
    "BUSY",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "TRYAGAIN",
    "DAMAGED",
];

impl Trouble {
    /// What to look for.
    pub(super) fn explanation(self) -> &'static str {
        match self {
            Self::Lost => "the Redis did not answer in time",
            Self::Unfit => "the Redis is a replica, or is starting",
            Self::Unreplicated => "no replica confirmed in time that a token was taken",
            Self::Refused(_) | Self::UnknownScript => "the Redis refused a command",
            Self::Damaged => {
                "there is a value in the Redis that tollgate did not write, or not with this secret"
            }
        }
    }

    /// A stable word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Unfit => "unfit",
            Self::Unreplicated => "unreplicated",
            Self::UnknownScript => "refused",
            Self::Refused(word) => word,
            Self::Damaged => "damaged",
        }
    }

    /// Whether another connection may find a server in better shape.
    pub(super) fn is_of_the_connection(self) -> bool {
        matches!(self, Self::Lost | Self::Unfit)
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Self::from(&error)
    }
}

impl From<&RedisError> for Trouble {
    fn from(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown,
            ) => Self::Unfit,
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::UnknownScript,
            ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
                let code = error.code().unwrap_or_default();
                let word = WORDS.into_iter().find(|word| *word == code);
                word.map_or(Self::Refused("refused"), |word| {
                    if word == "DAMAGED" || word == "WRONGTYPE" { Self::Damaged } else { Self::Refused(word) }
                })
            }
            ErrorKind::UnexpectedReturnType => Self::Damaged,
            _ => Self::Lost,
        }
    }
}

impl From<Damaged> for Trouble {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

impl From<tokio::time::error::Elapsed> for Trouble {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Lost
    }
}

/// How often one kind of trouble is complained of.
const PATIENCE: Duration = Duration::from_mins(1);

/// Counts what goes wrong, and says so, each kind at most once in a while.
#[derive(Default)]
pub(super) struct Complaints(Mutex<BTreeMap<&'static str, Occurrences>>);

/// How often there was one kind of trouble, and when it was last complained of.
#[derive(Default)]
struct Occurrences {
    times: u64,
    last: Option<Instant>,
}

impl Complaints {
    /// Notes `trouble` with one request.
    pub(super) fn note(&self, trouble: Trouble) -> Unavailable {
        let now = Instant::now();
        let mut all = self.all();
        let own = all.entry(trouble.word()).or_default();
        own.times += 1;
        if own.last.is_none_or(|at| now >= at + PATIENCE) {
            own.last = Some(now);
            tracing::error!(
                target: "tollgate::store", reason = trouble.word(),
                "{}; this is said at most once a minute", trouble.explanation()
            );
        }
        Unavailable
    }

    /// The same where it is said elsewhere, or is not worth a word.
    pub(super) fn count(&self, trouble: Trouble) -> Unavailable {
        self.all().entry(trouble.word()).or_default().times += 1;
        Unavailable
    }

    /// How often each kind of trouble was noted.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        self.all().iter().map(|(word, own)| (*word, own.times)).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, Occurrences>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
