//! The file that is being read: which line a value stands on, and the faults found so far.
//!
//! Readers do not stop at a fault. They record it, hand back [`Reported`], and go on with the
//! next key, so that one run tells everything.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::environment::Environment;
use super::faults::{Fault, Faults};

/// A fault has been recorded, and there is nothing to add. Only [`Place::fault`] makes one, so an
/// outcome that is missing is always explained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// What was read, unless a fault was recorded instead.
pub(super) type Read<T> = Result<T, Reported>;

/// One configuration file.
pub(super) struct Document<'a> {
    file: Arc<str>,
    text: &'a str,
    newlines: Vec<usize>,
    pub(super) environment: &'a Environment,
    faults: RefCell<Vec<Fault>>,
    remarks: RefCell<Vec<Fault>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str, file: &str, environment: &'a Environment) -> Self {
        let newlines = text.match_indices('\n').map(|(offset, _)| offset).collect();
        let (faults, remarks) = (RefCell::default(), RefCell::default());
        Self { file: file.into(), text, newlines, environment, faults, remarks }
    }

    /// What faults call the file: its path, where it has one.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The key `key` at the bytes of `span`.
    pub(super) fn place(&'a self, key: String, span: &Range<usize>) -> Place<'a> {
        let line = self.newlines.partition_point(|newline| *newline < span.start) + 1;
        Place { document: self, key, line }
    }

    /// Records why the file is no TOML, if it is none. Behind a bracket that is never closed the parser takes
    /// offence at each line: of these only the first is told.
    pub(super) fn refuse_syntax(&'a self, errors: &[toml::de::Error]) -> Option<Reported> {
        let mut errors: Vec<&toml::de::Error> = errors.iter().collect();
        errors.sort_by_key(|error| error.span().map_or(usize::MAX, |span| span.start));
        let open = BRACKETS.iter().find(|bracket| errors.iter().any(|error| bracket.is_open_in(error)));
        let first = open.and_then(|bracket| errors.iter().position(|error| bracket.is_in(error)));
        let told = first.map_or(errors.len(), |first| first + 1);
        let refused = errors.iter().take(told).enumerate().map(|(index, error)| {
            let missing = open.filter(|_| Some(index) == first).map(|bracket| bracket.end);
            self.refuse_one(error, missing)
        });
        refused.last()
    }

    /// Records one of the parser's errors. Only what it says is taken: its Display quotes the line, and that
    /// may have a secret in it.
    fn refuse_one(&'a self, error: &toml::de::Error, missing: Option<char>) -> Reported {
        // What is wrong with the end of the file is wrong with the last line that says something.
        let end = self.text.trim_end().len();
        let span = error.span().unwrap_or(end..end);
        let place = self.place(String::new(), &(span.start.min(end)..span.end));
        let mut message = error.message().replace('\n', ", ");
        if let Some(key) = self.text.get(span).filter(|_| message == TWICE).filter(|key| is_key(key)) {
            message = format!("{message} {key}");
        }
        let remedy = match missing {
            Some(end) => format!("close what was opened before with {end}"),
            None if message.starts_with(TWICE) => "write it once".to_owned(),
            None => "see https://toml.io for how it is written".to_owned(),
        };
        // `name = intranet` could have become the number `inf`.
        let message = if message.starts_with("invalid float") { UNQUOTED } else { &message };
        place.fault(format!("this is not TOML: {message}"), remedy)
    }

    /// What was found that is no fault, but may well be a mistake.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.remarks.borrow().iter().map(ToString::to_string).collect()
    }

    /// The settings, if not one fault was found.
    pub(super) fn conclude<T>(self, outcome: Read<T>) -> Result<T, Faults> {
        let faults = self.faults.into_inner();
        outcome.ok().filter(|_| faults.is_empty()).ok_or_else(|| Faults::new(faults))
    }
}

/// What the parser says of a key that is there already, without saying which.
const TWICE: &str = "duplicate key";

/// What it says of most words without quotes.
const UNQUOTED: &str = "string values must be quoted";

/// A kind of bracket that goes over several lines, as the parser speaks of it.
struct Bracket {
    /// What it says at the end of the file, if one was not closed.
    unclosed: &'static str,
    /// What it speaks of at each line within.
    within: [&'static str; 2],
    end: char,
}

const BRACKETS: [Bracket; 2] = [
    Bracket { unclosed: "unclosed array", within: ["in array", "array elements"], end: ']' },
    Bracket {
        unclosed: "unclosed inline table",
        within: ["inline table element", "key-value pairs"],
        end: '}',
    },
];

impl Bracket {
    fn is_open_in(&self, error: &toml::de::Error) -> bool {
        error.message().starts_with(self.unclosed)
    }

    fn is_in(&self, error: &toml::de::Error) -> bool {
        self.is_open_in(error) || self.within.iter().any(|words| error.message().contains(words))
    }
}

/// Whether `text` is a bare or a quoted key, and nothing that could have a value in it.
fn is_key(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'']);
    text.len() <= 80 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A key of the file and the line it stands on.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) document: &'a Document<'a>,
    pub(super) key: String,
    pub(super) line: usize,
}

impl Place<'_> {
    /// Records a fault at this place.
    pub(super) fn fault(&self, problem: impl Into<String>, remedy: impl Into<String>) -> Reported {
        self.document.faults.borrow_mut().push(self.note(problem, remedy));
        Reported(())
    }

    /// Records what is no fault at this place, but may well be a mistake.
    pub(super) fn remark(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.document.remarks.borrow_mut().push(self.note(problem, remedy));
    }

    fn note(&self, problem: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault {
            file: self.document.file.clone(),
            line: self.line,
            key: self.key.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// `name` as one step of a key path: quoted if TOML would quote it.
pub(super) fn step(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(bare) { shorten(name) } else { format!("{:?}", shorten(name)) }
}

/// At most 80 characters of `text`: a fault is one line.
pub(super) fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut shown: String = text.chars().take(MAX_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
