//! Paths as they may be told.
//!
//! A token that a login page appends in the wrong way stands in the path: `/page;sso=TOKEN`, `/page&sso=TOKEN`,
//! `/page%3Fsso=TOKEN`. It opens nothing there, and is still good.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// What is shorter is no secret of ours. So `/date=2026-11-22/` stays what it is.
const SHORTEST: usize = 20;

/// What stands in the place of a value that may be a secret.
const HIDDEN: &[u8] = b"***";

/// `path`, but of what stands behind a `=` and is as long as a secret, up to the next `/`, only that it is there.
/// Names of parameters and the signs between them do not matter: there are too many ways to write them.
pub fn discreet(path: &str) -> Cow<'_, str> {
    match hide(path.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(path),
        // Cut is at signs of ASCII alone.
        Cow::Owned(told) => Cow::Owned(String::from_utf8_lossy(&told).into_owned()),
    }
}

/// The same for what need not be text.
pub(super) fn hide(path: &[u8]) -> Cow<'_, [u8]> {
    let mut told = Vec::new();
    let mut rest = path;
    while let Some(value) = next_value(rest) {
        let (before, behind) = rest.split_at_checked(value).unwrap_or((rest, b""));
        let length = memchr(b'/', behind).unwrap_or(behind.len());
        let (value, behind) = behind.split_at_checked(length).unwrap_or((behind, b""));
        told.extend_from_slice(before);
        told.extend_from_slice(if value.len() < SHORTEST { value } else { HIDDEN });
        rest = behind;
    }
    if rest.len() == path.len() {
        return Cow::Borrowed(path);
    }
    told.extend_from_slice(rest);
    Cow::Owned(told)
}

/// Where the next value begins: behind a `=`, escaped or not, and however often.
fn next_value(path: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'=', b'%', path.get(from..)?)?;
        from = at + 1;
        if path.get(at) == Some(&b'=') {
            return Some(from);
        }
        let mut escaped = path.get(from..)?;
        while let Some(again) = escaped.strip_prefix(b"25") {
            escaped = again;
        }
        if escaped.get(..2).is_some_and(|escaped| escaped.eq_ignore_ascii_case(b"3d")) {
            return Some(path.len() - escaped.len() + 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_hidden_whatever_stands_around_it() {
        let token = "dGhpcyBpcyBhIHRva2VuIG9mIHRoZSByaWdodCBsZW5n";
        for (path, told) in [
            ("/", "/"),
            ("/a%20b;x=1/c=d", "/a%20b;x=1/c=d"),
            ("/date=2026-11-22/part=0001", "/date=2026-11-22/part=0001"),
            ("/aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=", "/aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ="),
            ("/a%", "/a%"),
            ("/a%25", "/a%25"),
            ("/x;sso=TOKEN", "/x;sso=***"),
            ("/x&sso=TOKEN", "/x&sso=***"),
            ("/sso=TOKEN/ä", "/sso=***/ä"),
            ("/x%3Fsso=TOKEN", "/x%3Fsso=***"),
            ("/x%3fs%73o%3dTOKEN", "/x%3fs%73o%3d***"),
            ("/x%253Fsso%25253DTOKEN", "/x%253Fsso%25253D***"),
            ("/x;v=1;sso=TOKEN;w=2/y", "/x;v=***/y"),
            ("/x;sso=TOKEN/y;sso=TOKEN", "/x;sso=***/y;sso=***"),
            ("/%2;sso==TOKEN", "/%2;sso=***"),
            ("/sso=/TOKEN=TOKEN", "/sso=/TOKEN=***"),
        ] {
            let told = told.replace("TOKEN", token);
            assert_eq!(discreet(&path.replace("TOKEN", token)), told, "{path}");
        }
    }

    #[test]
    fn what_has_nothing_to_hide_is_not_copied() {
        for path in ["", "/", "/a/b%20c%2f", "/a%3"] {
            assert!(matches!(discreet(path), Cow::Borrowed(_)), "{path}");
        }
    }
}
