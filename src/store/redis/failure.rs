//! Why there is no connection, as the log tells it: where it was tried, and what came of it. Nothing is
//! told that a server said, but for the word by which it refused: it may repeat what it was sent, and that
//! begins with a password.

use std::error::Error as _;
use std::fmt::Display;

use ::redis::{ErrorKind, RedisError};

use super::trouble::Trouble;

/// The longest word by which a server refuses.
const WORD: usize = 24;

/// An attempt to connect that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) trouble: Trouble,
    /// Where it was tried.
    pub(super) address: String,
    /// What came of it.
    pub(super) cause: String,
}

impl Failure {
    /// What the library says of the attempt at `address`.
    pub(super) fn of(address: &impl Display, error: &RedisError) -> Self {
        Self { trouble: Trouble::from(error), address: address.to_string(), cause: cause(error) }
    }

    /// The server at `address` is none to write to.
    pub(super) fn unfit(address: &impl Display) -> Self {
        let trouble = Trouble::Unfit;
        Self { trouble, address: address.to_string(), cause: trouble.explanation().to_owned() }
    }

    /// Nothing came in time.
    pub(super) fn silent(address: &impl Display, cause: &str) -> Self {
        Self { trouble: Trouble::Lost, address: address.to_string(), cause: cause.to_owned() }
    }

    /// That nobody knows where to connect to, as of several attempts to ask that failed.
    pub(super) fn of_all(failures: Vec<Self>, otherwise: &str) -> Self {
        let [mut addresses, mut causes] = [Vec::new(), Vec::new()];
        for Self { address, cause, .. } in failures {
            addresses.push(address);
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        let cause = if causes.is_empty() { otherwise.to_owned() } else { causes.join("; ") };
        Self { trouble: Trouble::Lost, address: addresses.join(", "), cause }
    }
}

fn cause(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => {
            let is_word =
                |word: &&str| word.len() <= WORD && word.bytes().all(|byte| byte.is_ascii_uppercase());
            let word = error.code().filter(is_word);
            word.map_or_else(|| "it refused".to_owned(), |word| format!("it refused: {word}"))
        }
        ErrorKind::Parse => "it does not speak as a Redis does".to_owned(),
        // What this machine says of the connection: the system, or TLS.
        ErrorKind::Io if let Some(source) = error.source() => source.to_string(),
        _ => error.category().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_a_server_says_is_not_repeated() {
        let said = |kind: ErrorKind| RedisError::from((kind, "refused", "3 AUTH jane hunter2".to_owned()));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, told) in [
            (said(ErrorKind::AuthenticationFailed), "authentication failed"),
            (said(ErrorKind::Extension), "it refused"),
            (said(ErrorKind::Io), "I/O error"),
            (said(ErrorKind::Parse), "it does not speak as a Redis does"),
            (refused.into(), "connection refused"),
        ] {
            let failure = Failure::of(&"127.0.0.1:6379", &error);
            assert_eq!((failure.address.as_str(), failure.cause.as_str()), ("127.0.0.1:6379", told));
        }
    }
}
