//! The commands of one document as one script: its files are written, its commands run in its order, and
//! what runs until it is stopped goes on in the background.

use std::fmt::Write as _;

use crate::page::Page;
use crate::stage::Stage;

const LIBRARY: &str = include_str!("stage.sh");

/// What a document does not say itself.
pub(crate) struct Play {
    /// The document.
    pub(crate) page: &'static str,
    /// What stands for something of the reader's, and what it is here.
    pub(crate) means: &'static [(&'static str, &'static str)],
    /// What has to have happened before the block in which the first text occurs; at the start, if that is
    /// empty.
    pub(crate) before: &'static [(&'static str, &'static str)],
}

/// Commands that run until they are stopped: how to know them, what they are called here, and how it is seen
/// that they have begun.
const SERVERS: [(&str, &str, &str); 6] = [
    ("cargo run --release -- demo", "gate", "demo_begun $!"),
    ("tollgate serve", "gate", "begun gate $! $gate_port"),
    ("python3 docs/login-pages/login.py", "login", "begun login $! $login_port"),
    ("php -S", "login", "begun login $! $login_port"),
    ("python3 app.py", "app", "begun app $! $app_port"),
    ("curl -sN", "listener", "listens $!"),
];

impl Play {
    /// The script; what the block at line `n` prints is in `logs/n`.
    pub(crate) fn script(&self, page: &Page, stage: &Stage) -> String {
        let logs = stage.path("logs");
        let mut script = format!("set -eu\n{LIBRARY}\ntrap all_ended EXIT\ntrap 'exit 1' TERM\n");
        script += &self.acts_before("");
        for block in &page.blocks {
            let text = || self.placed(&block.text, stage);
            let written = if let Some(file) = block.mark("file") {
                let content = if block.language == "toml" {
                    stage.configuration(&text())
                } else {
                    text().replace("127.0.0.1\", 3000", &format!("127.0.0.1\", {}", stage.port(3000)))
                };
                let file = self.placed(file, stage);
                format!("written {file} <<'WRITTEN'\n{content}WRITTEN\n")
            } else if block.language != "sh" || block.mark("skip").is_some() || block.is_file() {
                continue;
            } else if block.mark("fails").is_some() {
                format!("if ( {} ); then echo 'this was to fail'; exit 1; fi\n", text().trim_end())
            } else {
                text().lines().fold(String::new(), |script, line| script + &command(line))
            };
            script += &self.acts_before(&block.text);
            let (path, line) = (&page.path, block.line);
            let log = logs.join(line.to_string());
            writeln!(script, "exec 3>&1 4>&2; echo '{path}:{line}'\nexec >{} 2>&1", log.display())
                .expect("a string takes it");
            script += &written;
            script += "exec >&3 2>&4\n";
        }
        script
    }

    fn acts_before(&self, text: &str) -> String {
        let fits = |within: &str| {
            if text.is_empty() { within.is_empty() } else { !within.is_empty() && text.contains(within) }
        };
        let acts = self.before.iter().filter(|(within, _)| fits(within)).map(|(_, act)| format!("{act}\n"));
        acts.collect::<Vec<_>>().concat()
    }

    /// The text with what stands for something else.
    fn placed(&self, text: &str, stage: &Stage) -> String {
        let text = self.means.iter().fold(text.to_owned(), |text, (word, is)| text.replace(word, is));
        let root = stage.path("root");
        let mut placed = String::new();
        for (at, letter) in text.char_indices() {
            let within = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '}' | ':');
            let begins = !text[..at].ends_with(within);
            if begins && ["/etc/", "/var/", "/usr/"].iter().any(|folder| text[at..].starts_with(folder)) {
                placed.push_str(root.to_str().expect("is UTF-8"));
            }
            placed.push(letter);
        }
        placed
    }
}

/// A line of a block; in the background, if it would never end.
fn command(line: &str) -> String {
    let Some((_, name, begun)) = SERVERS.iter().find(|(start, ..)| line.contains(start)) else {
        return format!("{line}\n");
    };
    let line = line.replace("127.0.0.1:9001", "127.0.0.1:$login_port");
    format!("ended {name}\n{line} >\"$logs/{name}\" 2>&1 &\n{begun}\ncat \"$logs/{name}\"\n")
}
