"""Puts the figures of the last run into the documents."""

import shutil

from .programs import REPOSITORY

DOCUMENT = REPOSITORY / "docs/performance.md"
PLOT = REPOSITORY / "docs/performance.svg"

# The table stands between these lines; the rest of the document is written by hand.
BEGIN, END = "<!-- figures: benches/run --publish writes from here -->\n", "<!-- figures: to here -->\n"


def publish(results):
    text = DOCUMENT.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"benches/run: {DOCUMENT} lacks the lines between which figures go")
    table = (results / "results.md").read_text().strip()
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n\n{END}{after}")
    shutil.copyfile(results / "results.svg", PLOT)
