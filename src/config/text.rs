//! A string of the file, with its variables put in. Faults about it show it as it is written:
//! what came from the environment may be a secret.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::document::{Place, Read, Reported, shorten};
use super::environment::ExpansionFault;
use super::secret_file;
use crate::domain::secret::Secret;

/// A string value and where it stands.
pub(super) struct Text<'a> {
    pub(super) place: Place<'a>,
    written: &'a str,
    value: Cow<'a, str>,
}

impl<'a> Text<'a> {
    /// Puts the variables into `written`.
    pub(super) fn expand(place: Place<'a>, written: &'a str) -> Read<Self> {
        let report = |fault: ExpansionFault| place.fault(fault.problem(), fault.remedy());
        let value = place.document.environment.expand(written, report)?;
        Ok(Self { place, written, value })
    }

    /// The value.
    pub(super) fn as_str(&self) -> &str {
        &self.value
    }

    /// The value, if it stands in the file as it is: then it may be shown.
    pub(super) fn literal(&self) -> Option<&str> {
        matches!(self.value, Cow::Borrowed(_)).then_some(self.written)
    }

    /// Whether the value is that of one variable and nothing else.
    pub(super) fn is_one_variable(&self) -> bool {
        let name = self.written.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        self.literal().is_none() && name.is_some_and(|name| !name.contains('}'))
    }

    /// Whether the value stands in a file of its own.
    pub(super) fn is_in_file(&self) -> bool {
        secret_file::is_named(self.written)
    }

    /// The value, or what is in the file that it names, as a secret, and the place for faults about it:
    /// nothing that could print it is left.
    pub(super) fn into_secret(self) -> Read<(Place<'a>, Secret)> {
        if self.is_in_file() {
            return secret_file::read(&self);
        }
        Ok((self.place, Secret::new(self.value.into_owned())))
    }

    /// The value as a path, which begins where the configuration file lies.
    pub(super) fn to_path(&self) -> PathBuf {
        self.path_of(self.as_str())
    }

    /// The same for a part of the value.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        let folder = Path::new(self.place.document.file()).parent();
        folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name))
    }

    /// What `parse` makes of the value; else a fault that reads `"value" PROBLEM`.
    pub(super) fn parse<T>(
        &self,
        parse: impl FnOnce(&str) -> Option<T>,
        problem: &str,
        remedy: &str,
    ) -> Read<T> {
        parse(&self.value).ok_or_else(|| self.refuse(problem, remedy))
    }

    /// The value, if something in this file may be called so; else a fault that reads `"value" PROBLEM`.
    pub(super) fn name(&self, problem: &str) -> Read<String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(allowed);
        self.parse(
            |name| is_name(name).then(|| name.to_owned()),
            problem,
            "use 1 to 64 letters, digits, ., _ or -",
        )
    }

    /// The one of `options` that the value names.
    pub(super) fn choose<T: Copy>(&self, options: &[(&str, T)]) -> Read<T> {
        let chosen = options.iter().find(|(name, _)| *name == self.value);
        chosen.map(|(_, option)| *option).ok_or_else(|| {
            let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
            self.refuse(&format!("is not one of {}", names.join(", ")), "write one of these words")
        })
    }

    /// Records a fault that reads `"value" PROBLEM`.
    pub(super) fn refuse(&self, problem: &str, remedy: &str) -> Reported {
        self.place.fault(self.shown(problem), remedy)
    }

    /// Says that `"value" PROBLEM`, where that is no fault but may well be a mistake.
    pub(super) fn remark(&self, problem: &str, remedy: &str) {
        self.place.remark(self.shown(problem), remedy);
    }

    fn shown(&self, problem: &str) -> String {
        format!("{:?} {problem}", shorten(&without_secrets(self.written)))
    }
}

/// What of `text` may be shown: of a URL neither user name and password nor its query, which are
/// no business of a log. A value that is no URL is treated like one, as it may have been meant.
fn without_secrets(text: &str) -> Cow<'_, str> {
    let query = text.find(['?', '#']);
    let credentials = text.rfind('@');
    let scheme = ["http://", "https://"].into_iter().find(|scheme| text.starts_with(scheme));
    let scheme = scheme.unwrap_or_default();
    let (hidden, shown) = match (credentials, query) {
        (None, None) => return Cow::Borrowed(text),
        (None, Some(query)) => return Cow::Owned(format!("{}…", text.get(..=query).unwrap_or_default())),
        // A password may have a `?` in it, and a query an `@`: there is no telling what is behind.
        (Some(at), Some(query)) if query < at => ("…", ""),
        (Some(at), Some(query)) => ("…", text.get(at..=query).unwrap_or_default()),
        (Some(at), None) => ("…", text.get(at..).unwrap_or_default()),
    };
    let cut = if query.is_some() && !shown.is_empty() { "…" } else { "" };
    Cow::Owned(format!("{scheme}{hidden}{shown}{cut}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_are_not_shown() {
        for (text, shown) in [
            ("http://jane:hunter2@127.0.0.1/", "http://…@127.0.0.1/"),
            ("http://jane:hunter2@a@127.0.0.1", "http://…@127.0.0.1"),
            ("jane:hunter2@127.0.0.1:1", "…@127.0.0.1:1"),
            ("jane:hunter2://x@a", "…@a"),
            ("hunter2://x@a", "…@a"),
            ("http://jane:hunter2@a/?key=hunter2", "http://…@a/?…"),
            ("http://jane:hun?ter2@a/", "http://…"),
            ("http://a/?mail=x@hunter2", "http://…"),
            ("jane:hunter2#@a", "…"),
            ("http://a/b?key=hunter2&x", "http://a/b?…"),
            ("http://a/#hunter2", "http://a/#…"),
            ("http://127.0.0.1/", "http://127.0.0.1/"),
            ("jane@example.com", "…@example.com"),
        ] {
            assert_eq!(without_secrets(text), shown, "{text}");
        }
    }
}
