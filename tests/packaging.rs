//! What packages are made of, and what the program writes for them: most of it is compiled by nobody, and
//! would go stale unnoticed.

#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

fn tollgate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

/// What a command prints that has nothing to complain of.
fn printed(arguments: &[&str]) -> String {
    let output = tollgate(arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("is UTF-8")
}

/// A file of the repository.
fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file)
}

/// Every command as its words, found by asking each for its help.
fn commands() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut next = 0;
    while let Some(words) = found.get(next).cloned() {
        next += 1;
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["-h"]).collect();
        let help = printed(&arguments);
        let listed =
            help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|l| !l.is_empty());
        for below in listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
            found.push(words.iter().cloned().chain([below.to_owned()]).collect());
        }
    }
    found
}

#[test]
fn each_command_has_a_manual_page_and_there_is_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("new/man");
    assert_eq!(printed(&["man", "--out", pages.to_str().expect("is UTF-8")]), "");
    let written: BTreeSet<String> = fs::read_dir(&pages)
        .expect("is a folder")
        .map(|entry| entry.expect("can be read").file_name().into_string().expect("is UTF-8"))
        .collect();
    let page_of = |words: &Vec<String>| [&["tollgate".to_owned()], &words[..]].concat().join("-") + ".1";
    assert_eq!(written, commands().iter().map(page_of).collect());
    for (name, rest) in [("tollgate.1", ".SH \"EXIT STATUS\""), ("tollgate-session-list.1", "TOLLGATE_KEY")] {
        let page = fs::read_to_string(pages.join(name)).expect(name);
        for part in [".TH tollgate", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", "--log\\-format", rest] {
            let part = part.replace("--", "\\-\\-");
            assert!(page.contains(&part), "{name} lacks {part}:\n{page}");
        }
    }
    assert_eq!(printed(&["man"]), fs::read_to_string(pages.join("tollgate.1")).expect("is there"));
}

#[test]
fn pages_that_cannot_be_written_are_an_error() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let output = tollgate(&["man", "--out", file.path().to_str().expect("is UTF-8")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("cannot make"), "{output:?}");
}

#[test]
fn shells_complete_every_command() {
    for shell in SHELLS {
        let script = printed(&["completions", shell]);
        for word in commands().into_iter().flatten() {
            assert!(script.contains(&word), "{shell}: {word}");
        }
    }
    assert_eq!(tollgate(&["completions", "cmd.exe"]).status.code(), Some(64));
}

#[test]
fn the_packaged_configuration_lacks_nothing_but_a_site() {
    let packaged = text("packaging/config.toml");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    let check = |text: &str| {
        fs::write(&file, text).expect("can be written");
        tollgate(&["check", "--config", file.to_str().expect("is UTF-8")])
    };
    let said = String::from_utf8(check(&packaged).stderr).expect("is UTF-8");
    assert!(said.lines().count() == 1 && said.contains("there is nothing to protect"), "{said}");

    // As it says itself: take away the # before the lines of the site and the key.
    let is_example = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && *line != "#";
    let filled: String = packaged
        .lines()
        .map(|line| if is_example(&line) { line.trim_start_matches('#') } else { line }.to_owned() + "\n")
        .collect();
    let output = check(&filled);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn the_units_start_the_packaged_program_with_the_packaged_configuration() {
    let manifest: toml::Table = toml::from_str(&text("Cargo.toml")).expect("is TOML");
    let deb = &manifest["package"]["metadata"]["deb"];
    let assets = deb["assets"].as_array().expect("is a list");
    let mut targets = BTreeSet::new();
    for asset in assets {
        let [source, target] = [0, 1].map(|index| asset[index].as_str().expect("is text"));
        if !source.starts_with("target/") {
            let found = source.split_once('*').map_or(source, |(folder, _)| folder);
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(found).exists(), "{source} is not there");
        }
        let name = if target.ends_with('/') { source.rsplit('/').next().expect("has a name") } else { "" };
        targets.insert(format!("/{target}{name}"));
    }
    let service = text("packaging/systemd/tollgate.service");
    let lines =
        service.lines().filter(|line| line.starts_with("Exec") || line.starts_with("EnvironmentFile"));
    let named: Vec<&str> =
        lines.flat_map(|line| line.split([' ', '=', '-', '\''])).filter(|w| w.contains("tollgate")).collect();
    assert_eq!(named.iter().filter(|path| **path == "/usr/bin/tollgate").count(), 3, "{named:?}");
    for path in named.iter().filter(|word| word.starts_with('/')) {
        assert!(targets.contains(*path), "{path} is not in the package: {targets:?}");
    }
    for unit in deb["systemd-units"].as_array().expect("is a list") {
        let name = unit["unit-name"].as_str().expect("is text");
        let kind = if name == "tollgate" { "service" } else { "socket" };
        assert!(text(&format!("packaging/systemd/{name}.{kind}")).contains("[Install]"), "{name}");
        assert_eq!(unit["start"].as_bool(), Some(false), "{name}: nothing starts before it is configured");
    }
}
