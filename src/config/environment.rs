//! The environment variables that `${NAME}` reads. They are handed in: only the command line
//! looks at the real ones, so that a configuration means the same in every test.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Environment variables. Their values are often secrets, so none is ever printed.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The given variables; of two with one name the later wins.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// No variables at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The same with one variable added or replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The value of `name`, if it is set. An empty value is a value.
    pub fn lookup(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Puts the variables' values in the place of each `${NAME}`; `$${` stands for a plain `${`.
    /// What a variable holds is taken as it is, even if it looks like `${NAME}` itself. Every
    /// fault goes to `report`, whose last answer is the error.
    pub(super) fn expand<'t, R>(
        &self,
        text: &'t str,
        mut report: impl FnMut(ExpansionFault) -> R,
    ) -> Result<Cow<'t, str>, R> {
        if !text.contains("${") {
            return Ok(Cow::Borrowed(text));
        }
        let (mut expanded, mut failed) = (String::new(), None);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                expanded.push_str(before);
                expanded.push_str("${");
                rest = after;
                continue;
            }
            expanded.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                failed = Some(report(ExpansionFault::Unclosed));
                rest = "";
                break;
            };
            rest = after;
            match self.lookup(name) {
                _ if !is_name(name) => failed = Some(report(ExpansionFault::NotAName)),
                Some(value) => expanded.push_str(value),
                None => failed = Some(report(ExpansionFault::Missing(name.to_owned()))),
            }
        }
        expanded.push_str(rest);
        failed.map_or(Ok(Cow::Owned(expanded)), Err)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

/// A name as shells export it (POSIX.1-2024, Base Definitions §3.213).
fn is_name(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Why a `${NAME}` cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExpansionFault {
    /// No such variable.
    Missing(String),
    /// What stands in the braces is no name.
    NotAName,
    /// There is no closing brace.
    Unclosed,
}

impl ExpansionFault {
    pub(super) fn problem(&self) -> String {
        match self {
            Self::Missing(name) => format!("the environment variable {name} is not set"),
            Self::NotAName => "what stands in `${…}` is not a valid variable name".to_owned(),
            Self::Unclosed => "a `${` has no closing `}`".to_owned(),
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Missing(name) => format!(
                "set it before starting: export {name}=… (the packaged service reads /etc/tollgate/environment)"
            ),
            Self::NotAName | Self::Unclosed => {
                "write ${NAME} to read a variable, or $${ for a literal ${".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_once() {
        let environment =
            Environment::new([("A".to_owned(), "1".to_owned()), ("_B2".to_owned(), String::new())])
                .with("NESTED", "${A}");
        for (text, expanded) in [
            ("", ""),
            ("plain $A $ {A} {A} $", "plain $A $ {A} {A} $"),
            ("${A}", "1"),
            ("x${A}y${A}z", "x1y1z"),
            ("[${_B2}]", "[]"),
            ("${NESTED}", "${A}"),
            ("$${A}", "${A}"),
            ("$${", "${"),
            ("$$${A}", "$${A}"),
            ("$${A}${A}", "${A}1"),
            ("é${A}é", "é1é"),
        ] {
            let read = environment.expand(text, |fault| panic!("{text:?}: {fault:?}"));
            assert_eq!(read.as_deref(), Ok(expanded), "{text:?}");
        }
    }

    #[test]
    fn everything_that_is_missing_is_named() {
        use ExpansionFault::{Missing, NotAName, Unclosed};
        for (text, faults) in [
            ("${A}${B}", vec![Missing("A".into()), Missing("B".into())]),
            ("${}", vec![NotAName]),
            ("${1A}", vec![NotAName]),
            ("${A B}", vec![NotAName]),
            ("${A:-x}", vec![NotAName]),
            ("${A", vec![Unclosed]),
            ("${A} ${", vec![Missing("A".into()), Unclosed]),
        ] {
            let mut found = Vec::new();
            assert_eq!(Environment::empty().expand(text, |fault| found.push(fault)), Err(()), "{text:?}");
            assert_eq!(found, faults, "{text:?}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let environment = Environment::empty().with("KEY", "hunter2");
        assert_eq!(format!("{environment:?}"), "Environment(1 variables)");
    }
}
