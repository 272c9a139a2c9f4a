//! A document taken apart: its headings, its links, and its fenced blocks with what stands behind their
//! language.
//!
//! A block may have marks there (```` ```sh skip=root ````), which readers do not see: the language is the
//! first word, and whoever shows the page looks no further.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The documents beside those of `docs`.
const ELSEWHERE: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benches/README.md",
    "packaging/README.md",
];

/// One document.
pub(crate) struct Page {
    /// Its path in the repository.
    pub(crate) path: String,
    pub(crate) blocks: Vec<Block>,
    /// What stands outside of the blocks.
    prose: String,
}

/// A fenced block.
pub(crate) struct Block {
    /// The line of its fence, counted from 1.
    pub(crate) line: usize,
    pub(crate) language: String,
    marks: Vec<String>,
    pub(crate) text: String,
}

/// All of them, in the order of their paths.
pub(crate) fn all() -> Vec<Page> {
    let mut paths: Vec<String> = ELSEWHERE.map(str::to_owned).into();
    paths.extend(of_the_book());
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

/// The pages of `docs`, all but the list of them.
pub(crate) fn of_the_book() -> Vec<String> {
    let entries = fs::read_dir(repository().join("docs")).expect("docs is a folder");
    let names = entries.map(|entry| entry.expect("can be read").file_name().into_string().expect("is UTF-8"));
    let pages = names.filter_map(|name| name.strip_suffix(".md").map(str::to_owned));
    let mut pages: Vec<String> =
        pages.filter(|name| name != "SUMMARY").map(|name| format!("docs/{name}.md")).collect();
    pages.sort();
    pages
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        let text = fs::read_to_string(repository().join(path)).expect(path);
        Self::parse(path, &text)
    }

    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let (mut blocks, mut prose) = (Vec::new(), String::new());
        let mut open: Option<(usize, Block)> = None;
        for (index, line) in text.lines().enumerate() {
            let (indent, fence) =
                (line.len() - line.trim_start().len(), line.trim_start().strip_prefix("```"));
            match (open.take(), fence) {
                (None, None) => prose.push_str(line),
                (None, Some(info)) => open = Some((indent, Block::opened(index + 1, info))),
                (Some((_, block)), Some("")) => blocks.push(block),
                (Some((indent, mut block)), _) => {
                    block.text.push_str(line.get(indent..).unwrap_or_default());
                    block.text.push('\n');
                    open = Some((indent, block));
                }
            }
            prose.push('\n');
        }
        assert!(open.is_none(), "{path} ends within a block");
        Self { path: path.to_owned(), blocks, prose }
    }

    /// The anchors of its headings, as those make them who show such pages.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut seen = HashMap::<String, usize>::new();
        let titles = self.prose.lines().filter_map(|line| {
            let title = line.trim_start_matches('#');
            (title.len() < line.len() && title.starts_with(' ')).then(|| title.trim())
        });
        titles
            .map(|title| {
                let dashed = title.to_lowercase().replace(' ', "-");
                let anchor: String =
                    dashed.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
                let before = seen.entry(anchor.clone()).and_modify(|count| *count += 1).or_default();
                if *before == 0 { anchor } else { format!("{anchor}-{before}") }
            })
            .collect()
    }

    /// Where its links lead, each with its line.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        // What stands in backticks, as every second piece does, is no link.
        let plain = self.prose.split('`').enumerate().map(|(index, piece)| match index % 2 {
            0 => piece.to_owned(),
            _ => "\n".repeat(piece.matches('\n').count()),
        });
        let plain = plain.collect::<Vec<_>>().concat();
        let targets = plain.match_indices("](").map(|(at, opening)| {
            let target = plain[at + opening.len()..].split([')', '\n', ' ']).next().unwrap_or_default();
            (1 + plain[..at].matches('\n').count(), target.to_owned())
        });
        targets.collect()
    }

    /// What a relative link of this page means in the repository.
    pub(crate) fn resolve(&self, target: &str) -> String {
        let folder = Path::new(&self.path).parent().unwrap_or(Path::new(""));
        let mut parts: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => assert!(parts.pop().is_some(), "{}: {target} leads out of the repository", self.path),
                _ => parts.push(part),
            }
        }
        parts.join("/")
    }
}

impl Block {
    fn opened(line: usize, info: &str) -> Self {
        let mut words = info.split_whitespace().map(str::to_owned);
        let language = words.next().unwrap_or_default();
        Self { line, language, marks: words.collect(), text: String::new() }
    }

    pub(crate) fn marks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.marks.iter().map(|mark| mark.split_once('=').unwrap_or((mark, "")))
    }

    /// What a mark says; nothing without it.
    pub(crate) fn mark(&self, name: &str) -> Option<&str> {
        self.marks().find_map(|(mark, value)| (mark == name).then_some(value))
    }

    /// The content of a file, not something to type.
    pub(crate) fn is_file(&self) -> bool {
        self.text.starts_with("#!")
    }
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# A `b` page?\n[x](y.md#z) `[no](no)` [`code`](c.md)\n## Twice\n## Twice\n  ```sh skip=root\n  a\n    b\n  ```\n";
    let page = Page::parse("docs/a.md", text);
    assert_eq!(page.anchors(), ["a-b-page", "twice", "twice-1"]);
    assert_eq!(page.links(), [(2, "y.md#z".to_owned()), (2, "c.md".to_owned())]);
    let block = &page.blocks[0];
    assert_eq!((block.line, &*block.language, &*block.text), (5, "sh", "a\n  b\n"));
    assert_eq!(block.mark("skip"), Some("root"));
    assert_eq!(page.resolve("../x/./y.md"), "x/y.md");
}
