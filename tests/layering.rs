//! Holds the plan of the house: which group of modules may know of which, what the domain must
//! not touch, and how long a file may be.
//!
//! It reads tokens, not types: enough to see every path that starts at the crate's root, whether
//! it is spelled with `crate::` or with a chain of `super::`.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each group may import from itself and from those above it.
const GROUPS: [&str; 18] = [
    "domain", "metrics", "config", "journal", "acme", "store", "sso", "http", "trace", "pages", "proxy",
    "api", "gateway", "server", "admin", "app", "demo", "cli",
];

/// What the domain has no business with; time and randomness come in as arguments.
const FOREIGN_TO_DOMAIN: [&[&str]; 4] =
    [&["tokio"], &["hyper"], &["std", "::", "env"], &["SystemTime", "::", "now"]];

/// The one file in which a foreign thing may stand, once: the clock that all others are handed.
const REAL_CLOCK: (&str, &[&str]) = ("domain/clock.rs", &["SystemTime", "::", "now"]);

const MAX_LINES: usize = 500;

#[test]
fn the_source_keeps_to_the_plan() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 10, "only {} files under {}", files.len(), root.display());
    let faults: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(&root).expect("lies under src").to_string_lossy().replace('\\', "/");
            faults(&path, &fs::read_to_string(file).expect("is UTF-8"))
        })
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("is a folder") {
        let path = entry.expect("can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every breach of the plan in the file `path` (relative to `src`), as `file:line: rule`.
fn faults(path: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |line: usize, rule: String| faults.push(format!("src/{path}:{line}: {rule}"));
    let lines = source.lines().count();
    if lines > MAX_LINES {
        fault(lines, format!("a file has at most {MAX_LINES} lines"));
    }
    let group = path.split('/').next().unwrap_or(path).trim_end_matches(".rs");
    if path == "lib.rs" || path == "main.rs" {
        return faults;
    }
    let Some(rank) = rank(group) else {
        fault(1, format!("`{group}` is no group: give it a place in the order {}", GROUPS.join(", ")));
        return faults;
    };
    let tokens = tokens(source);
    for (line, target) in imports(&tokens, depth(path)) {
        if GROUPS.get(rank + 1..).is_some_and(|below| below.contains(&target)) {
            fault(line, format!("`{group}` may not import from `{target}`, which stands below it"));
        } else if self::rank(target).is_none() {
            fault(line, format!("`crate::{target}` is no group"));
        }
    }
    if group == "domain" {
        for foreign in FOREIGN_TO_DOMAIN {
            let spared = usize::from(REAL_CLOCK == (path, foreign));
            for line in occurrences(&tokens, foreign).skip(spared) {
                fault(line, format!("the domain knows nothing of `{}`", foreign.concat()));
            }
        }
    }
    faults
}

fn rank(group: &str) -> Option<usize> {
    GROUPS.iter().position(|known| *known == group)
}

/// How many `super::` lead from the file's own module to the crate's root.
fn depth(path: &str) -> usize {
    let parts = path.split('/').count();
    if path.ends_with("/mod.rs") { parts - 1 } else { parts }
}

fn occurrences<'a>(tokens: &'a [Token<'a>], sought: &'a [&'a str]) -> impl Iterator<Item = usize> {
    let same = move |window: &&[Token<'_>]| window.iter().map(|token| token.text).eq(sought.iter().copied());
    tokens.windows(sought.len()).filter(same).map(|window| window[0].line)
}

/// The line and the name of every group that is reached through the crate's root.
fn imports<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<(usize, &'a str)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut found = Vec::new();
    let mut braces = 0;
    // The brace depths at which inline modules began: each needs one `super::` more.
    let mut inline_modules = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "{" => {
                braces += 1;
                if at >= 2 && text(at - 2) == "mod" {
                    inline_modules.push(braces);
                }
            }
            "}" => {
                inline_modules.pop_if(|began| *began == braces);
                braces -= 1;
            }
            "crate" if text(at + 1) == "::" => named(tokens, at + 2, &mut found),
            "super" => {
                let mut supers = 1;
                while text(at + 1) == "::" && text(at + 2) == "super" {
                    supers += 1;
                    at += 2;
                }
                if supers == depth + inline_modules.len() && text(at + 1) == "::" {
                    named(tokens, at + 2, &mut found);
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The name at `at`, or each first name in the braces that open there.
fn named<'a>(tokens: &[Token<'a>], at: usize, found: &mut Vec<(usize, &'a str)>) {
    let Some(first) = tokens.get(at) else { return };
    if first.text != "{" {
        found.push((first.line, first.text));
        return;
    }
    let (mut braces, mut expected) = (0, false);
    for token in &tokens[at..] {
        match token.text {
            "{" => {
                braces += 1;
                expected = braces == 1;
            }
            "}" if braces == 1 => return,
            "}" => braces -= 1,
            "," => expected = braces == 1,
            name if expected => {
                found.push((token.line, name));
                expected = false;
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Token<'a> {
    line: usize,
    text: &'a str,
}

/// The words and signs of `source`, without comments, strings and characters. `::` is one sign.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        let (length, is_code) = match c {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (block_comment(rest), false),
            '"' => (string(rest), false),
            'r' | 'b' | 'c' if raw_string(rest).is_some() => (raw_string(rest).unwrap_or(1), false),
            '\'' => (character(rest), false),
            ':' if rest.starts_with("::") => (2, true),
            _ if is_word(c) => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true),
            _ => (c.len_utf8(), !c.is_whitespace()),
        };
        let text = &rest[..length];
        if is_code {
            tokens.push(Token { line, text });
        }
        line += text.matches('\n').count();
        at += length;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(rest: &str) -> usize {
    let (mut nested, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            nested += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            nested -= 1;
            at += 2;
            if nested == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    rest.len()
}

/// The length of `r"…"`, `br#"…"#` and the like; `None` if `rest` does not start with one.
fn raw_string(rest: &str) -> Option<usize> {
    let after =
        rest.strip_prefix('r').or_else(|| rest.strip_prefix("br")).or_else(|| rest.strip_prefix("cr"))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + length)
}

/// A character literal, or the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    let first = chars.next().map(|(_, c)| c);
    if first == Some('\\') {
        return rest[3..].find('\'').map_or(rest.len(), |at| at + 4);
    }
    match chars.next() {
        Some((at, '\'')) => at + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod the_checker {
    use super::*;

    #[test]
    fn sees_imports_from_below_however_they_are_spelled() {
        let rule = |group: &str, target: &str| {
            format!("`{group}` may not import from `{target}`, which stands below it")
        };
        for (path, source, line, group, target) in [
            ("store/mod.rs", "use crate::gateway::Site;", 1, "store", "gateway"),
            ("store/mod.rs", "\nuse crate::{\n    domain::x,\n    api::{v1, cli},\n};", 4, "store", "api"),
            ("store/a.rs", "fn f() { crate :: sso::issue() }", 1, "store", "sso"),
            ("store/a.rs", "use super::super::sso;", 1, "store", "sso"),
            ("store/a.rs", "mod tests {\n use super::super::super::sso; }", 2, "store", "sso"),
            ("app.rs", "use super::cli;", 1, "app", "cli"),
            ("app.rs", "let s = '\"'; use crate::demo; // \"", 1, "app", "demo"),
            ("app.rs", "let s = r#\"\"\"#; let l: &'a str = crate::cli::x();", 1, "app", "cli"),
        ] {
            assert_eq!(
                faults(path, source),
                [format!("src/{path}:{line}: {}", rule(group, target))],
                "{source}"
            );
        }
    }

    #[test]
    fn lets_pass_what_the_plan_allows() {
        for (path, source) in [
            ("store/mod.rs", "use crate::{config::Settings, domain::{gateway, cli}, store};"),
            ("store/a.rs", "use super::cli; mod tests { use super::super::cli; }"),
            ("cli/mod.rs", "use crate::{app, demo, domain};"),
            (
                "store/a.rs",
                "// crate::cli\n/* crate::cli /* */ crate::cli */ \"crate::cli\" b\"\\\"crate::cli\" r#\"crate::cli\"#",
            ),
            ("main.rs", "use crate::cli;"),
            ("domain/clock.rs", "std::time::SystemTime::now()"),
            ("domain/a.rs", "//! no tokio, no hyper\nfn hyperbola() {}"),
            ("config/a.rs", "std::env::var(); tokio::spawn()"),
        ] {
            assert_eq!(faults(path, source), Vec::<String>::new(), "{path}: {source}");
        }
    }

    #[test]
    fn sees_what_else_breaks_the_plan() {
        for (path, source, fault) in [
            ("helpers.rs", "", "src/helpers.rs:1: `helpers` is no group"),
            ("store/a.rs", "use crate::Oops;", "src/store/a.rs:1: `crate::Oops` is no group"),
            ("domain/a.rs", "\nuse tokio::time;", "src/domain/a.rs:2: the domain knows nothing of `tokio`"),
            ("domain/a.rs", "use hyper::Body;", "src/domain/a.rs:1: the domain knows nothing of `hyper`"),
            ("domain/a.rs", "std::env::var()", "src/domain/a.rs:1: the domain knows nothing of `std::env`"),
            ("domain/a.rs", "SystemTime::now()", "the domain knows nothing of `SystemTime::now`"),
            (
                "domain/clock.rs",
                "SystemTime::now();\nSystemTime::now()",
                "src/domain/clock.rs:2: the domain knows",
            ),
            ("lib.rs", &"\n".repeat(501), "src/lib.rs:501: a file has at most 500 lines"),
        ] {
            let found = faults(path, source);
            assert!(found.len() == 1 && found[0].contains(fault), "{path}: {found:?}");
        }
    }
}
