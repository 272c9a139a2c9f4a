//! The file with another secret for one API key, and the last one beside it for a while. Everything else
//! stays as somebody wrote it, to the last comment: what changes is cut out of the text and put into it, and
//! the file is not written anew from what was read of it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::proof::Proof;
use super::settings::ApiKey;
use crate::domain::clock::Timestamp;
use crate::domain::secret::Secret;

/// Secrets that nobody has had before, as far as the key needs them.
#[derive(Debug)]
pub struct FreshSecrets {
    /// The bearer key.
    pub bearer: Secret,
    /// For OAuth 1.0a.
    pub consumer_secret: Secret,
    /// For OAuth 1.0a.
    pub access_secret: Secret,
}

/// What comes of a change.
pub struct Rotated {
    /// The whole file.
    pub file: String,
    /// The `[[api_key]]` alone, with what it had before.
    pub entry: String,
    /// Whether the bearer key is another one.
    pub bearer: bool,
    /// Whether the secrets for OAuth 1.0a are.
    pub oauth1: bool,
}

/// Why a key cannot be changed in the file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationFault {
    /// It is written in a form into which nothing can be put.
    #[error("write the key as a table of its own, under a line [[api_key]], first")]
    Inline,
    /// The secrets for OAuth 1.0a, which cannot be kept by hash, do not stand in the file.
    #[error(
        "{0} does not stand in the file itself: put new ones where they come from under new names, and what \
         the key has now into an [[api_key.previous]]"
    )]
    Elsewhere(&'static str),
}

/// Gives `key`, the one with the number `index` in the valid file `text`, the secrets that it needs out of
/// `fresh`. What it has now counts until `until`. Without that nothing that it had counts any more, what it had
/// before included: of a key that has leaked nobody knows which of its secrets it was.
pub fn rotate(
    text: &str,
    index: usize,
    key: &ApiKey,
    fresh: &FreshSecrets,
    until: Option<Timestamp>,
) -> Result<Rotated, RotationFault> {
    let (root, _) = DeTable::parse_recoverable(text);
    let keys = root.get_ref().get("api_key").and_then(|keys| keys.get_ref().as_array());
    let entry = keys.and_then(|keys| keys.get(index)).ok_or(RotationFault::Inline)?;
    let table = Table::of(text, entry).ok_or(RotationFault::Inline)?;
    let own = || key.proofs.iter().filter(|proof| !proof.is_previous);
    let (mut edits, mut before) = (Vec::new(), Vec::new());
    let bearer = own().find_map(Proof::bearer);
    if let Some(old) = bearer {
        let (name, value) =
            table.member("secret").or_else(|| table.member("secret_sha256")).ok_or(RotationFault::Inline)?;
        edits.push((name, "secret_sha256".to_owned()));
        edits.push((value, format!("\"{}\"", fresh.bearer.hash().to_hex())));
        before.push(format!("secret_sha256 = \"{}\"", old.to_hex()));
    }
    let oauth1 = own().any(|proof| proof.oauth1().is_some());
    if oauth1 {
        let new = |name| match name {
            "consumer_secret" => Some(&fresh.consumer_secret),
            "access_secret" => Some(&fresh.access_secret),
            _ => None,
        };
        for name in ["consumer_key", "consumer_secret", "access_token", "access_secret"] {
            let (_, value) = table.member(name).ok_or(RotationFault::Inline)?;
            let written = text.get(value.clone()).unwrap_or_default();
            before.push(format!("{name} = {written}"));
            if let Some(new) = new(name) {
                if table.is_elsewhere(name) {
                    return Err(RotationFault::Elsewhere(name));
                }
                edits.push((value, format!("\"{}\"", new.expose())));
            }
        }
    }
    let Some(until) = until else {
        edits.extend(table.previous.iter().map(|place| (place.clone(), String::new())));
        return Ok(table.rotated(text, edits, bearer.is_some(), oauth1));
    };
    before.push(format!("expires_at = {}", until.to_rfc3339()));
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let lead = if text.get(..table.end).is_some_and(|before| before.ends_with('\n')) { "" } else { newline };
    let lines = before.join(newline);
    let block = format!("{lead}[[api_key.previous]]{newline}{lines}{newline}");
    edits.push((table.end..table.end, block));
    Ok(table.rotated(text, edits, bearer.is_some(), oauth1))
}

/// One `[[api_key]]` as it stands in the text.
struct Table<'a> {
    members: &'a DeTable<'a>,
    start: usize,
    /// Behind the last line that belongs to it.
    end: usize,
    /// The lines of what it had before.
    previous: Vec<Range<usize>>,
}

impl<'a> Table<'a> {
    /// `None` if it is no table with a line of its own above it, or something in it is none.
    fn of(text: &str, entry: &'a Spanned<DeValue<'a>>) -> Option<Self> {
        let members = entry.get_ref().as_table()?;
        let lines = |entry| {
            let last = end_of(text, entry)?;
            let end = text.get(last..)?.find('\n').map_or(text.len(), |newline| last + newline + 1);
            Some(entry.span().start..end)
        };
        let previous = members.get("previous").and_then(|previous| previous.get_ref().as_array());
        let previous = previous.into_iter().flat_map(|entries| entries.iter()).map(lines);
        let Range { start, end } = lines(entry)?;
        Some(Self { members, start, end, previous: previous.collect::<Option<_>>()? })
    }

    /// What comes of `edits` to it.
    fn rotated(&self, text: &str, edits: Vec<(Range<usize>, String)>, bearer: bool, oauth1: bool) -> Rotated {
        let (file, end) = edited(text, self.end, edits);
        let entry = file.get(self.start..end).unwrap_or_default().to_owned();
        Rotated { file, entry, bearer, oauth1 }
    }

    /// Where a member's name and value stand.
    fn member(&self, name: &str) -> Option<(Range<usize>, Range<usize>)> {
        let (key, value) = self.members.get_key_value(name)?;
        Some((key.span(), value.span()))
    }

    /// Whether a member is read from a variable or a file.
    fn is_elsewhere(&self, name: &str) -> bool {
        let value = self.members.get(name).and_then(|value| value.get_ref().as_str());
        value.is_some_and(|value| value.contains("${") || super::secret_file::is_named(value))
    }
}

/// Where the last value of a table ends, those of the tables below it included.
fn end_of(text: &str, entry: &Spanned<DeValue<'_>>) -> Option<usize> {
    if !text.get(entry.span())?.starts_with("[[") {
        return None;
    }
    let mut last = entry.span().end;
    for (name, value) in entry.get_ref().as_table()? {
        let end = match value.get_ref() {
            DeValue::Array(entries) if name.get_ref() == "previous" => {
                let ends = entries.iter().map(|entry| end_of(text, entry));
                ends.collect::<Option<Vec<_>>>()?.into_iter().max()
            }
            _ => Some(value.span().end),
        };
        last = last.max(end.unwrap_or_default());
    }
    Some(last)
}

/// `text` with all `edits` made, and where `mark`, behind all of them, is then.
fn edited(text: &str, mark: usize, mut edits: Vec<(Range<usize>, String)>) -> (String, usize) {
    edits.sort_by_key(|(place, _)| place.start);
    let (mut file, mut done) = (String::with_capacity(text.len() + 512), 0);
    for (place, new) in edits {
        file.push_str(text.get(done..place.start).unwrap_or_default());
        file.push_str(&new);
        done = place.end;
    }
    file.push_str(text.get(done..mark).unwrap_or_default());
    let end = file.len();
    file.push_str(text.get(mark.max(done)..).unwrap_or_default());
    (file, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load};
    use crate::domain::secret::SecretHash;

    const SITE: &str = "[[site]]\nname = \"demo\"\nhosts = [\"*\"]\nupstream = [\"http://127.0.0.1:9000\"]\n\
                        login_url = \"https://login.example.com/\"\n";

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn fresh() -> FreshSecrets {
        let [bearer, consumer_secret, access_secret] =
            ["fresh-bearer-key", "fresh-consumer", "fresh-access"].map(|text| Secret::new(text.to_owned()));
        FreshSecrets { bearer, consumer_secret, access_secret }
    }

    fn environment() -> Environment {
        Environment::empty().with("KEY", "the-key-of-the-login-page")
    }

    fn rotated(text: &str, index: usize, until: Option<Timestamp>) -> Result<Rotated, RotationFault> {
        let settings = load(text, "config.toml", &environment()).unwrap_or_else(|faults| panic!("{faults}"));
        rotate(text, index, &settings.api_keys[index], &fresh(), until)
    }

    #[test]
    fn all_but_the_secret_stays_as_it_was() {
        let text = format!(
            "# The keys.\n[[api_key]]\nname = \"other\"\nsecret = \"another-key-entirely\"\nscopes = [\"admin\"]\n\n\
             [[api_key]]   # of the login page\n\"name\"  = \"login-page\"\nsecret  = \"${{KEY}}\"  # in the vault\n\
             scopes  = [\n  \"write:sso\", # tokens\n]\n# The sites.\n{SITE}"
        );
        let rotated = rotated(&text, 1, Some(NOW)).unwrap();
        assert!((rotated.bearer, rotated.oauth1) == (true, false));
        let (before, rest) = text.split_once("secret  = \"${KEY}\"").unwrap();
        let (rest, site) = rest.split_once("# The sites.").unwrap();
        let [new, old] = ["fresh-bearer-key", "the-key-of-the-login-page"];
        let [new, old] = [new, old].map(|secret| SecretHash::of(secret.as_bytes()).to_hex());
        let previous =
            format!("[[api_key.previous]]\nsecret_sha256 = \"{old}\"\nexpires_at = 2027-01-15T08:00:00Z\n");
        let expected = format!("{before}secret_sha256  = \"{new}\"{rest}{previous}# The sites.{site}");
        assert_eq!(rotated.file, expected);
        assert!(rotated.entry.starts_with("[[api_key]]   # of the login page\n"), "{}", rotated.entry);
        assert!(rotated.entry.ends_with(&previous));
        let settings = load(&rotated.file, "config.toml", &environment()).unwrap();
        let proofs = &settings.api_keys[1].proofs;
        assert_eq!(proofs[0].bearer().unwrap().to_hex(), new);
        assert_eq!((proofs[1].bearer().unwrap().to_hex(), proofs[1].expires_at), (old, Some(NOW)));
    }

    #[test]
    fn what_it_had_before_that_stays_too() {
        let hash = SecretHash::of(b"some secret").to_hex();
        let key = format!("[[api_key]]\nname = \"a\"\nsecret_sha256 = \"{hash}\"\nscopes = [\"admin\"]");
        let earlier = "[[api_key.previous]] # long ago\nsecret = \"an-older-key-of-a\"\nexpires_at = 2030-01-01T00:00:00Z";
        for text in [format!("{SITE}{key}\n{earlier}"), format!("{key}\r\n{earlier}\r\n{SITE}")] {
            let rotated = rotated(&text, 0, Some(NOW)).unwrap();
            let settings = load(&rotated.file, "config.toml", &environment()).unwrap();
            let key = &settings.api_keys[0];
            assert_eq!(key.proofs.len(), 3, "{}", rotated.file);
            assert_eq!(key.proofs[0].bearer(), Some(fresh().bearer.hash()));
            assert!(rotated.entry.contains(&hash) && rotated.entry.contains("# long ago"));
            assert!(!rotated.entry.contains("[[site]]"));
        }
    }

    #[test]
    fn of_a_key_that_leaked_no_secret_counts_any_more() {
        let key = "[[api_key]]\nname = \"a\"\nsecret = \"${KEY}\"\nscopes = [\"admin\"]\n";
        let earlier = |secret: &str| {
            format!(
                "[[api_key.previous]] # why\nsecret = \"{secret}\"\nexpires_at = 2030-01-01T00:00:00Z # when\n"
            )
        };
        let (one, two) = (earlier("an-older-key-of-a"), earlier("a-still-older-key"));
        for (before, expected) in [
            (format!("{key}{SITE}"), format!("{key}{SITE}")),
            (format!("{SITE}{key}{one}"), format!("{SITE}{key}")),
            (format!("{SITE}{key}{}", one.trim_end()), format!("{SITE}{key}")),
            (format!("{key}{one}# kept\n{two}{SITE}"), format!("{key}# kept\n{SITE}")),
            (format!("{key}[server]\n{one}[control]\n{SITE}"), format!("{key}[server]\n[control]\n{SITE}")),
        ] {
            let rotated = rotated(&before, 0, None).unwrap();
            let hash = SecretHash::of(b"fresh-bearer-key").to_hex();
            let expected = expected.replace("secret = \"${KEY}\"", &format!("secret_sha256 = \"{hash}\""));
            assert_eq!(rotated.file, expected);
            let settings = load(&rotated.file, "config.toml", &environment()).unwrap();
            assert_eq!(settings.api_keys[0].proofs.len(), 1);
        }
    }

    #[test]
    fn a_key_that_signs_keeps_its_names() {
        let text = format!(
            "[[api_key]]\nname = \"a\"\npermission = \"super\"\nconsumer_key = \"ck\"\nconsumer_secret = 'one'\n\
             access_token = \"at\"\naccess_secret = \"two-two-two-two-two\"\n{SITE}"
        );
        let rotated = rotated(&text, 0, Some(NOW)).unwrap();
        assert!((rotated.bearer, rotated.oauth1) == (false, true));
        let settings = load(&rotated.file, "config.toml", &environment()).unwrap();
        let shown = |proof: &Proof| {
            let own = proof.oauth1().unwrap();
            let secrets = [&own.consumer_secret, &own.access_secret].map(|secret| secret.expose().to_owned());
            (own.consumer_key.clone(), own.access_token.clone(), secrets)
        };
        let [now, before] = [0, 1].map(|index| shown(&settings.api_keys[0].proofs[index]));
        let names = |secrets: [&str; 2]| ("ck".to_owned(), "at".to_owned(), secrets.map(str::to_owned));
        assert_eq!(now, names(["fresh-consumer", "fresh-access"]));
        assert_eq!(before, names(["one", "two-two-two-two-two"]));
    }

    #[test]
    fn what_cannot_be_changed_in_place_is_refused() {
        let inline =
            format!("api_key = [{{ name = \"a\", secret = \"${{KEY}}\", scopes = [\"admin\"] }}]\n{SITE}");
        assert_eq!(rotated(&inline, 0, Some(NOW)).err(), Some(RotationFault::Inline));
        let previous = format!(
            "[[api_key]]\nname = \"a\"\nsecret = \"${{KEY}}\"\nscopes = [\"admin\"]\n\
             previous = [{{ secret = \"an-older-key-of-a\", expires_at = 2030-01-01T00:00:00Z }}]\n{SITE}"
        );
        assert_eq!(rotated(&previous, 0, Some(NOW)).err(), Some(RotationFault::Inline));
        let elsewhere = format!(
            "[[api_key]]\nname = \"a\"\npermission = \"super\"\nconsumer_key = \"ck\"\nconsumer_secret = \"${{KEY}}\"\n\
             access_token = \"at\"\naccess_secret = \"two\"\n{SITE}"
        );
        let fault = RotationFault::Elsewhere("consumer_secret");
        assert_eq!(rotated(&elsewhere, 0, Some(NOW)).err(), Some(fault));
    }
}
