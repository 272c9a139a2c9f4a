#!/usr/bin/env python3
"""Lets mdBook take in pages from outside of docs, and keeps links as they are in the repository.

mdBook wants every page below its source folder. docs/SUMMARY.md names some that lie above it: they become pages
of their own here, and each link to them, or from them into docs, is changed with that. A link to a file that is no
page of the book becomes its name. mdBook hands in the book as JSON, and gets it back.

`book.py check FOLDER` looks whether each link of the finished book leads somewhere.
"""

import html.parser
import json
import pathlib
import posixpath
import re
import sys
import urllib.parse

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s:]*)(#[^)\s]*)?\)")
IMAGE = re.compile(r"(!\[[^\]]*\]\()([^)\s:]*)(\))")
FENCE = re.compile(r"(^[ ]*```.*?^[ ]*```)", re.MULTILINE | re.DOTALL)


def chapters(items):
    for item in items:
        if isinstance(item, dict) and "Chapter" in item:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


def place(path):
    """Where in the book a page of the repository stands."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return "repository/" + path


def address(path):
    """What a link to it names: mdBook makes an index of each README."""
    head, name = posixpath.split(place(path))
    return posixpath.join(head, "index.md" if name == "README.md" else name)


class Sheet(html.parser.HTMLParser):
    """The anchors and links of a page of the finished book."""

    def __init__(self, file):
        super().__init__()
        self.anchors, self.links = set(), set()
        self.feed(file.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.anchors.add(value)
            elif name in ("href", "src") and tag in ("a", "img") and value:
                self.links.add(value)


def check(folder):
    sheets = {file.resolve(): Sheet(file) for file in pathlib.Path(folder).rglob("*.html") if file.name != "404.html"}
    broken = []
    for file, sheet in sheets.items():
        for link in sheet.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (file.parent / urllib.parse.unquote(url.path)).resolve() if url.path else file
            anchors = sheets[target].anchors if target in sheets else set()
            if not target.is_file() or (url.fragment and urllib.parse.unquote(url.fragment) not in anchors):
                broken.append(f"{file.relative_to(pathlib.Path(folder).resolve())}: {link}")
    if broken or not sheets:
        sys.exit("\n".join(["links of the book that lead nowhere:", *sorted(broken)]))


def main():
    if sys.argv[1:2] == ["check"]:
        return check(sys.argv[2])
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    pages = list(chapters(book.get("items") or book.get("sections")))
    known = {posixpath.normpath("docs/" + page["path"]) for page in pages}
    for page in pages:
        path = posixpath.normpath("docs/" + page["path"])

        def moved(link):
            text, target, anchor = link.group(1), link.group(2), link.group(3) or ""
            if not target:
                return link.group(0)
            meant = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if meant in known:
                here = posixpath.dirname(place(path)) or "."
                return f"[{text}]({posixpath.relpath(address(meant), here)}{anchor})"
            is_with_the_book = path.startswith("docs/") and meant.startswith("docs/")
            is_file = posixpath.splitext(meant)[1] not in ("", ".md")
            return link.group(0) if is_with_the_book and is_file else text

        def shown(image):
            meant = posixpath.normpath(posixpath.join(posixpath.dirname(path), image.group(2)))
            here = posixpath.dirname(place(path)) or "."
            return image.group(1) + posixpath.relpath(place(meant), here) + image.group(3)

        parts = FENCE.split(page["content"])
        parts = [part if FENCE.match(part) else IMAGE.sub(shown, LINK.sub(moved, part)) for part in parts]
        page["content"] = "".join(parts)
        page["path"] = place(path)
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
