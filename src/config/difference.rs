//! How one configuration file differs from another, key by key: for people who are about to put the one
//! in the other's place.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::document::step;
use super::secret_file;

/// Keys whose values are nobody's business, wherever they stand.
const SECRETS: [&str; 7] =
    ["secret", "secret_sha256", "consumer_secret", "access_token", "access_secret", "password", "eab_key"];

/// A key that is written otherwise, or only in one of two files, with both values as a file has them.
/// Secrets are `…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key with all that leads to it.
    pub key: String,
    /// What it was.
    pub was: Option<String>,
    /// What it is to be.
    pub is: Option<String>,
}

/// What `new` says otherwise than `old`, both of which are valid. Sites, keys and routes are the same if
/// they go by the same name or path, wherever in the file they stand.
pub fn differences(old: &str, new: &str) -> Vec<Difference> {
    let (was, is) = (flat(old), flat(new));
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differing = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    let shown = |key: &String, value: Option<&Value>| value.map(|value| shown(key, value));
    differing
        .map(|key| Difference {
            key: key.clone(),
            was: shown(key, was.get(key)),
            is: shown(key, is.get(key)),
        })
        .collect()
}

/// Every key of a file under its whole name.
fn flat(text: &str) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    let table: Table = toml::from_str(text).unwrap_or_default();
    spread("", table, &mut keys);
    keys
}

fn spread(path: &str, table: Table, keys: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let name = step(&name);
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        match value {
            Value::Table(table) => spread(&path, table, keys),
            Value::Array(entries) if entries.iter().any(Value::is_table) => {
                let mut namesakes = BTreeMap::<String, usize>::new();
                for entry in entries {
                    let Value::Table(table) = entry else { continue };
                    let own = called(&table);
                    let count = namesakes.entry(own.clone()).or_default();
                    *count += 1;
                    let own = if *count > 1 { format!("{own}#{count}") } else { own };
                    spread(&format!("{path}.{own}"), table, keys);
                }
            }
            value => drop(keys.insert(path, value)),
        }
    }
}

/// What one of several tables goes by.
fn called(table: &Table) -> String {
    let named = ["name", "path", "cert", "kid", "from"].iter().find_map(|key| table.get(*key)?.as_str());
    named.map_or_else(|| "entry".to_owned(), step)
}

fn shown(key: &str, value: &Value) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let is_secret = SECRETS.contains(&last) || key == "store.url";
    match value {
        Value::String(text) if is_one_variable(text) || secret_file::is_named(text) => format!("{text:?}"),
        _ if is_secret || key.starts_with("trace.headers.") => "…".to_owned(),
        // What a header says of everybody may well be a password.
        Value::String(text) if key.contains(".identity.headers.") => format!("{:?}", fields(text)),
        Value::String(text) if text.contains("://") => {
            let (shown, query) = text.split_once('?').map_or((text.as_str(), ""), |(url, _)| (url, "?…"));
            format!("\"{shown}{query}\"")
        }
        Value::String(text) => format!("{text:?}"),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| shown(key, value)).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Table(_) => "{…}".to_owned(),
    }
}

/// The fields of a template, without the text around them that could be something.
fn fields(text: &str) -> String {
    let mut shown = String::new();
    for part in text.split_inclusive('}') {
        let (literal, field) = part.split_at(part.find('{').unwrap_or(part.len()));
        let says_something = literal.contains(|c: char| !matches!(c, ' ' | ',' | ';' | '|'));
        shown.push_str(if says_something { "…" } else { literal });
        shown.push_str(field);
    }
    shown
}

fn is_one_variable(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['{', '}']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(old: &str, new: &str) -> Vec<String> {
        let line = |sign: &str, key: &str, value: Option<String>| Some(format!("{sign}{key} = {}", value?));
        let both = |Difference { key, was, is }: Difference| [line("-", &key, was), line("+", &key, is)];
        differences(old, new).into_iter().flat_map(both).flatten().collect()
    }

    #[test]
    fn only_what_means_something_else_differs() {
        let old = "[[site]]\nname = \"a\"\naccess = \"off\"\n[[site.route]]\npath = \"/x/\"\naccess = \"off\"\n\
                   [[site]]\nname = \"b\"\nhosts = [\"b.test\"]\n";
        let new = "# Moved.\n[[site]]\nname = 'b'\nhosts = [ \"b.test\", \"c.test\" ]\n[[site]]\nname = \"a\"\n\
                   [[site.route]]\npath = \"/new/\"\naccess = \"off\"\n[[site.route]]\npath = \"/x/\"\n\
                   access = \"off\"\n[server]\nworkers = 2\n";
        assert_eq!(
            lines(old, new),
            [
                "+server.workers = 2",
                "-site.a.access = \"off\"",
                "+site.a.route.\"/new/\".access = \"off\"",
                "+site.a.route.\"/new/\".path = \"/new/\"",
                "-site.b.hosts = [\"b.test\"]",
                "+site.b.hosts = [\"b.test\", \"c.test\"]",
            ]
        );
        assert!(lines(old, old).is_empty());
    }

    #[test]
    fn secrets_are_not_shown_but_that_they_differ_is() {
        for (old, new, shown) in [
            (
                "[[api_key]]\nname = \"k\"\nsecret = \"one\"",
                "[[api_key]]\nname = \"k\"\nsecret = \"two\"",
                "…",
            ),
            ("[acme]\neab_key = \"b25l\"", "[acme]\neab_key = \"dHdv\"", "…"),
            ("[store]\nurl = \"redis://:one@h/\"", "[store]\nurl = \"redis://:two@h/\"", "…"),
            (
                "[[site]]\nname = \"s\"\n[site.identity.headers]\nX-Key = \"one\"",
                "[[site]]\nname = \"s\"\n[site.identity.headers]\nX-Key = \"two\"",
                "\"…\"",
            ),
            (
                "[[site]]\nname = \"s\"\n[site.identity.headers]\nX-Key = \"one {email}, {id}\"",
                "[[site]]\nname = \"s\"\n[site.identity.headers]\nX-Key = \"two {email}, {id}\"",
                "\"…{email}, {id}\"",
            ),
            ("[trace.headers]\nX-Key = \"one\"", "[trace.headers]\nX-Key = \"two\"", "…"),
            (
                "[[site]]\nname = \"s\"\nlogin_url = \"https://l/?key=one\"",
                "[[site]]\nname = \"s\"\nlogin_url = \"https://l/?key=two\"",
                "\"https://l/?…\"",
            ),
        ] {
            let differing = differences(old, new);
            let [Difference { was, is, .. }] = differing.as_slice() else { panic!("{differing:?}") };
            assert_eq!((was.as_deref(), is.as_deref()), (Some(shown), Some(shown)), "{old}");
        }
        let named = lines("", "[[api_key]]\nname = \"k\"\nsecret = \"${KEY}\"");
        assert_eq!(named, ["+api_key.k.name = \"k\"", "+api_key.k.secret = \"${KEY}\""]);
    }
}
