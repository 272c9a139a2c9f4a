//! What stands in fenced blocks is what it says it is: configuration that is valid, JSON, commands that a
//! shell can read. What cannot be held to that says why, in one of a few words.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use tollgate::config::{self, Environment};

use crate::page::{self, Block};

/// Why a block is not run, or not read as a whole.
pub(crate) const REASONS: [(&str, &str); 8] = [
    ("bench", "takes half an hour"),
    ("build", "compiles for minutes, what others of these blocks do too"),
    ("docker", "needs an engine for containers"),
    ("elsewhere", "is for another machine"),
    ("excerpt", "leaves out what stands around it"),
    ("root", "changes the machine"),
    ("systemd", "needs a running systemd"),
    ("tests", "would run these tests"),
];

/// A site for blocks that have none.
const SITE: &str = "[[site]]\nname = \"NAME\"\nhosts = [\"site.test\"]\npublic_url = \"https://site.test\"\n\
                    upstream = [\"http://127.0.0.1:9000\"]\nlogin_url = \"https://login.test/\"\n";

/// For `${NAME}`.
const VALUE: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn marks_are_few_and_each_is_understood() {
    for page in page::all() {
        for block in &page.blocks {
            let at = format!("{}:{}", page.path, block.line);
            for (mark, value) in block.marks() {
                match mark {
                    "skip" => assert!(REASONS.iter().any(|(word, _)| *word == value), "{at}: skip={value}"),
                    "file" => assert!(block.language != "sh" && !value.is_empty(), "{at}: file={value}"),
                    "fails" => assert!(block.language == "sh" && value.is_empty(), "{at}: {mark}={value}"),
                    _ => panic!("{at}: nobody knows the mark {mark}"),
                }
            }
        }
    }
}

#[test]
fn a_shell_can_read_every_block_of_commands() {
    for page in page::all() {
        assert!(
            page.blocks.iter().all(|block| !matches!(&*block.language, "bash" | "console" | "shell")),
            "{}: blocks of commands are sh, without a prompt",
            page.path
        );
        for block in page.blocks.iter().filter(|block| block.language == "sh") {
            let mut bash = Command::new("bash");
            let read = bash.args(["-n", "-c", &block.text]).stdin(Stdio::null()).output().expect("bash runs");
            assert!(
                read.status.success() && read.stderr.is_empty(),
                "{}:{}: {read:?}",
                page.path,
                block.line
            );
        }
    }
}

#[test]
fn interpreters_can_read_every_program() {
    let folder = tempfile::tempdir().expect("a folder");
    for page in page::all() {
        for block in &page.blocks {
            let (name, program, arguments): (_, _, &[&str]) = match &*block.language {
                "js" => ("block.mjs", "node", &["--check"]),
                "php" => ("block.php", "php", &["-l"]),
                "python" => {
                    ("block.py", "python3", &["-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"])
                }
                _ => continue,
            };
            let opening = if name == "block.php" && !block.text.contains("<?php") { "<?php\n" } else { "" };
            let file = folder.path().join(name);
            std::fs::write(&file, format!("{opening}{}", block.text)).expect("writes a file");
            let read = Command::new(program).args(arguments).arg(&file).stdin(Stdio::null()).output();
            let read = read.unwrap_or_else(|error| panic!("{program}: {error}; see tests/run"));
            assert!(read.status.success(), "{}:{}: {read:?}", page.path, block.line);
        }
    }
}

#[test]
fn every_block_of_json_is_json() {
    for page in page::all() {
        for block in of_language(&page.blocks, "json") {
            let read = serde_json::from_str::<serde_json::Value>(&block.text);
            assert!(read.is_ok(), "{}:{}: {read:?}", page.path, block.line);
        }
    }
}

#[test]
fn every_configuration_is_valid() {
    let mut faults = Vec::new();
    for page in page::all() {
        for block in of_language(&page.blocks, "toml") {
            let text = completed(&block.text);
            let at = format!("{}:{}", page.path, block.line);
            if let Err(found) = config::load(&text, &at, &environment(&text)) {
                faults.push(found.to_string());
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The blocks of a language that are not marked as something less.
fn of_language<'a>(blocks: &'a [Block], language: &'a str) -> impl Iterator<Item = &'a Block> {
    blocks.iter().filter(move |block| block.language == language && block.mark("skip").is_none())
}

/// A whole file made of a piece of one.
fn completed(text: &str) -> String {
    let mut text = with_certificates(text);
    if text.contains("https = [\"") && !text.contains("[[server.certificate]]") {
        text += &with_certificates("[[server.certificate]]\ncert = \"a.pem\"\nkey = \"a.key\"");
    }
    if text.lines().any(|line| line.trim() == "[acme]") && !text.contains("acme = [") {
        text += "[[server.certificate]]\nacme = [\"site.test\"]\n";
    }
    if text.contains("[[server.certificate]]") && !text.contains("https = [\"") {
        text = format!("[server]\nhttps = [\"127.0.0.1:0\"]\n{text}");
    }
    if text.lines().any(|line| line.trim() == "[[site]]") {
        return text;
    }
    let asked = text.split_once("acme = [").and_then(|(_, rest)| rest.split(']').next());
    let hosts = asked.unwrap_or("\"site.test\"");
    let named = text.split_once("sites = [\"").and_then(|(_, rest)| rest.split('"').next());
    let site = SITE.replace("NAME", named.unwrap_or("intranet")).replace("\"site.test\"", hosts);
    let top = ["[server]", "[[server.", "[acme]", "[control]", "[store]", "[[api_key]]"];
    let begins = text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    if top.iter().any(|table| begins.starts_with(table)) {
        format!("{text}\n{site}")
    } else {
        format!("{site}{text}")
    }
}

/// A value for each variable that the file reads.
fn environment(text: &str) -> Environment {
    let names: BTreeSet<&str> =
        text.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).collect();
    Environment::new(names.into_iter().map(|name| (name.to_owned(), VALUE.to_owned())))
}

/// The text with paths of certificates and keys that are there.
fn with_certificates(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let value = line.split('"').nth(1).unwrap_or_default();
        let file = match value.rsplit_once('.') {
            Some((_, "pem" | "key")) if line.trim_start().starts_with("key") => &CERTIFICATE.1,
            Some((_, "pem")) => &CERTIFICATE.0,
            _ => return line.to_owned(),
        };
        line.replace(value, file.to_str().expect("is UTF-8"))
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// A certificate and its key.
static CERTIFICATE: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("documents");
    std::fs::create_dir_all(&folder).expect("a folder");
    crate::stage::certificate(&folder)
});
