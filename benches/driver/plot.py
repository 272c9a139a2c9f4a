"""The outcomes as a picture: bars in one panel for each case, readable on light and on dark pages."""

from html import escape

WIDTH, NAMES, VALUES = 760, 210, 70
BAR, GAP, HEADING, BETWEEN = 16, 7, 42, 26

# The page decides what is dark; text and lines take over.
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .unit { fill: #57606a }
  .own { fill: #0969da } .other { fill: #afb8c1 }
  .axis { stroke: #57606a; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .unit { fill: #9198a1 }
    .own { fill: #4493f8 } .other { fill: #545d68 }
    .axis { stroke: #9198a1 }
  }
"""


def svg(outcomes):
    parts, top = [], 10
    for outcome in outcomes:
        bars = bars_of(outcome)
        if bars:
            parts += panel(outcome, bars, top)
            top += HEADING + len(bars) * (BAR + GAP) + BETWEEN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
        f' role="img" aria-label="Costs of gateways, less is better">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def bars_of(outcome):
    """Key, title and value, the cheapest first."""
    if outcome.plot is None:
        return []
    figure, _ = outcome.plot
    rows = [row for row in outcome.rows if row.figures.get(figure)]
    bars = [(row.key, row.title, row.figures[figure].median) for row in rows]
    return sorted(bars, key=lambda bar: bar[2])


def panel(outcome, bars, top):
    """A heading, and a bar for each gateway, as long as its cost."""
    yield f'<text class="title" x="10" y="{top + 14}">{escape(outcome.title)}</text>'
    yield f'<text class="unit" x="{NAMES}" y="{top + 14}">{escape(outcome.plot[1])}, less is better</text>'
    most = max(value for _, _, value in bars) or 1
    first = top + HEADING - 14
    for number, (key, title, value) in enumerate(bars):
        y = first + number * (BAR + GAP)
        length = max((WIDTH - NAMES - VALUES) * value / most, 1)
        kind = "own" if key in ("tollgate", "baseline") else "other"
        yield f'<text x="{NAMES - 8}" y="{y + 13}" text-anchor="end">{escape(title)}</text>'
        yield f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        yield f'<text x="{NAMES + length + 6:.1f}" y="{y + 13}">{amount(value)}</text>'
    yield f'<path class="axis" d="M{NAMES - 0.5} {first - 4}v{len(bars) * (BAR + GAP) + 2}"/>'


def amount(value):
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
