//! Links between the documents, and the list of pages from which the book is made.

use std::collections::{BTreeSet, HashMap};

use crate::page::{self, Page, repository};

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    let mut pages = page::all();
    pages.push(Page::read("docs/SUMMARY.md"));
    let anchors: HashMap<&str, Vec<String>> =
        pages.iter().map(|page| (page.path.as_str(), page.anchors())).collect();
    let mut broken = Vec::new();
    for page in &pages {
        for (line, link) in page.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if target.is_empty() { page.path.clone() } else { page.resolve(target) };
            let is_there = repository().join(&target).exists();
            let has_anchor = || anchors.get(target.as_str()).is_some_and(|of| of.iter().any(|a| a == anchor));
            if !is_there || (!anchor.is_empty() && !has_anchor()) {
                broken.push(format!("{}:{line}: {link}", page.path));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn the_book_has_every_page_once_and_the_index_leads_to_each() {
    let pages: BTreeSet<String> = page::of_the_book().into_iter().collect();
    let summary = Page::read("docs/SUMMARY.md");
    let listed: Vec<String> = summary.links().iter().map(|(_, link)| summary.resolve(link)).collect();
    let of_docs: Vec<&String> = listed.iter().filter(|path| path.starts_with("docs/")).collect();
    assert_eq!(of_docs.iter().copied().cloned().collect::<BTreeSet<_>>(), pages, "docs/SUMMARY.md");
    assert_eq!(of_docs.len(), pages.len(), "docs/SUMMARY.md names a page twice");

    let index = Page::read("docs/README.md");
    let reached: BTreeSet<String> = index
        .links()
        .iter()
        .map(|(_, link)| index.resolve(link.split('#').next().unwrap_or_default()))
        .collect();
    for page in pages.iter().filter(|page| *page != "docs/README.md") {
        assert!(reached.contains(page), "docs/README.md does not lead to {page}");
    }
}
