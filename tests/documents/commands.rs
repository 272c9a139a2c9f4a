//! Every command of every document, run in the document's order on a machine of its own; and what comes of
//! it, where the document shows that.

use std::fs;
use std::thread;

use serde_json::Value;

use crate::page::{self, Block, Page};
use crate::script::Play;
use crate::stage::Stage;

/// What the documents with commands do not say themselves.
const PLAYS: &[Play] = &[
    Play {
        page: "README.md",
        means: &[("'the key'", "$(key 1)"), ("target/release/tollgate", "tollgate")],
        before: &[],
    },
    Play {
        page: "docs/applications.md",
        means: &[],
        before: &[("", "plain_gate django; signed_in jane@example.com https://www.example.com/")],
    },
    Play { page: "docs/compatible-api.md", means: &[], before: &[("", "plain_gate videos")] },
    Play { page: "docs/errors.md", means: &[], before: &[("", "plain_gate paper")] },
    Play { page: "docs/from-mod-auth-openidc.md", means: &[("'the key'", "$(key 1)")], before: &[] },
    Play { page: "docs/from-nginx.md", means: &[("'the key'", "$(key 1)")], before: &[] },
    Play { page: "docs/from-oauth2-proxy.md", means: &[("'the key'", "$(key 1)")], before: &[] },
    Play {
        page: "docs/install.md",
        means: &[],
        before: &[(
            "tollgate store backup",
            "plain_gate paper; signed_in jane@example.com https://www.example.com/",
        )],
    },
    Play {
        page: "docs/intranet.md",
        means: &[
            ("wiki-server.corp.example:8090", "127.0.0.1:8090"),
            ("\"state\": \"…\"", "\"state\": null"),
        ],
        before: &[
            ("/v1/sso_tokens", "gate; export LOGIN_PAGE_KEY=$(key 1)"),
            ("tollgate user set-role", "export TOLLGATE_KEY=$(key 2)"),
        ],
    },
    Play {
        page: "docs/login-page-authors.md",
        means: &[],
        before: &[
            ("", "plain_gate paper; signed_in ada@example.com https://www.example.com/"),
            ("v1/users/$ID", "ID=$USER_ID"),
        ],
    },
    Play { page: "docs/metrics.md", means: &[], before: &[("", "plain_gate paper")] },
    Play {
        page: "docs/secrets.md",
        means: &[("TOLLGATE_KEY=…", "TOLLGATE_KEY=$(key 2)")],
        before: &[
            ("", "plain_gate intranet; signed_in ada@example.com https://www.example.com/"),
            ("/etc/tollgate/environment", "echo NAME=value >$root/etc/tollgate/environment"),
        ],
    },
    Play { page: "docs/start.md", means: &[("'the key'", "$(key 1)")], before: &[] },
    Play {
        page: "docs/operators.md",
        means: &[
            ("read -rs TOLLGATE_KEY", "read -rs TOLLGATE_KEY <<<\"$(key 2)\""),
            ("01a202564c380aabf53734495164401d", "$ID"),
        ],
        before: &[
            ("tollgate store check", "gate"),
            (
                "v1/sessions?email",
                "export TOLLGATE_KEY=$(key 2); signed_in ada@example.com https://www.paper.example/premium/",
            ),
            ("tollgate token issue", "export TOLLGATE_KEY=$(key 1)"),
        ],
    },
];

/// What the API says to whom the document has told to ask in the wrong way.
const MISTAKES: [&str; 5] =
    ["insufficient_scope", "malformed_json", "missing_token", "parameter_invalid", "parameter_missing"];

#[test]
fn every_command_of_the_documents_does_what_they_say() {
    let pages: Vec<Page> = page::all().into_iter().filter(|page| page.blocks.iter().any(is_run)).collect();
    let failed: Vec<String> = thread::scope(|scope| {
        let played: Vec<_> = pages.iter().map(|page| scope.spawn(|| played(page))).collect();
        played.into_iter().filter_map(|play| play.join().expect("does not panic").err()).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

fn is_run(block: &Block) -> bool {
    block.language == "sh" && block.mark("skip").is_none() && !block.is_file()
}

/// Runs a document's commands and compares what they print with what it shows.
fn played(page: &Page) -> Result<(), String> {
    let play = PLAYS.iter().find(|play| play.page == page.path);
    let play = play.unwrap_or(&Play { page: "", means: &[], before: &[] });
    let stage = Stage::set();
    let outcome = stage.run(&play.script(page, &stage));
    let printed = |block: &Block| {
        let log = fs::read(stage.path(&format!("logs/{}", block.line))).unwrap_or_default();
        stage.as_documented(&String::from_utf8_lossy(&log))
    };
    if !outcome.success {
        let last = page.blocks.iter().rfind(|block| stage.path(&format!("logs/{}", block.line)).exists());
        let printed = last.map(|block| format!("{}\n{}", block.text, printed(block))).unwrap_or_default();
        return Err(format!("{}\n{printed}", outcome.said));
    }
    for block in page.blocks.iter().filter(|block| is_run(block)) {
        if block.mark("fails").is_none() && MISTAKES.iter().any(|code| printed(block).contains(code)) {
            return Err(format!("{}:{}: it is refused: {}", page.path, block.line, printed(block)));
        }
    }
    for (block, shown) in page.blocks.iter().zip(page.blocks.iter().skip(1)) {
        let end = block.line + block.text.lines().count() + 1;
        if is_run(block)
            && shown.line <= end + 4
            && shown.mark("file").is_none()
            && !is_as_shown(shown, &printed(block))
        {
            let at = format!("{}:{}", page.path, shown.line);
            return Err(format!("{at}: shown is\n{}\nand it is\n{}", shown.text, printed(block)));
        }
    }
    Ok(())
}

/// Whether something like `shown` was printed: JSON of the same members, or the same text, in which `…` and
/// whatever is another each time may be anything.
fn is_as_shown(shown: &Block, printed: &str) -> bool {
    match &*shown.language {
        "json" => {
            let documents = [&*shown.text, printed].map(|text| serde_json::from_str::<Value>(text).ok());
            matches!(&documents, [Some(shown), Some(printed)] if has_shape(shown, printed))
        }
        "text" | "xml" => {
            let printed = printed.replace("\r\n", "\n");
            let mut rest = printed.trim();
            let pattern = with_gaps(shown.text.trim());
            let mut pieces = pattern.split('…');
            let starts = pieces
                .next()
                .is_some_and(|first| rest.strip_prefix(first).map(|behind| rest = behind).is_some());
            starts
                && pieces.all(|piece| rest.split_once(piece).map(|(_, behind)| rest = behind).is_some())
                && (rest.is_empty() || pattern.ends_with('…'))
        }
        _ => true,
    }
}

fn has_shape(shown: &Value, printed: &Value) -> bool {
    match (shown, printed) {
        (Value::Object(shown), Value::Object(printed)) => {
            shown.len() == printed.len()
                && shown
                    .iter()
                    .all(|(name, value)| printed.get(name).is_some_and(|other| has_shape(value, other)))
        }
        (Value::Array(shown), Value::Array(printed)) => {
            shown.iter().zip(printed).all(|(shown, printed)| has_shape(shown, printed))
        }
        (Value::Null, _) | (_, Value::Null) => true,
        (shown, printed) => std::mem::discriminant(shown) == std::mem::discriminant(printed),
    }
}

/// The text with a gap for each token, key, hash and time.
fn with_gaps(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut gapped = String::new();
    for word in text.split_inclusive(|c| !is_part(c)) {
        let bare = word.trim_end_matches(|c| !is_part(c));
        if matches!(bare.len(), 32 | 43 | 64) {
            gapped.push('…');
            gapped.push_str(&word[bare.len()..]);
        } else {
            gapped.push_str(word);
        }
    }
    gapped
}

#[test]
fn what_is_another_each_time_may_be_anything() {
    let block = |language: &str, text: &str| {
        let page = format!("```{language}\n{text}\n```");
        Page::parse("docs/x.md", &page).blocks.remove(0)
    };
    let token = "qc5Ki5t9HejN-4pM0LSRTUojYlcsutq_FuFGsj0x1kg";
    assert!(is_as_shown(&block("text", &format!("key {token}")), "key anything at all\n"));
    assert!(is_as_shown(&block("text", "a … c"), "a b c"));
    assert!(!is_as_shown(&block("text", "a … c"), "a b d"));
    assert!(!is_as_shown(&block("text", "a"), "a b"));
    assert!(is_as_shown(&block("json", r#"{"a": 1, "b": "x"}"#), r#"{"b":"y","a":2}"#));
    assert!(!is_as_shown(&block("json", r#"{"a": 1}"#), r#"{"a":2,"c":3}"#));
}
