"""The outcomes as Markdown."""

from math import isfinite


def markdown(facts, outcomes):
    return "\n".join([*preamble(facts), *(line for outcome in outcomes for line in section(outcome))])


def preamble(facts):
    machine, versions = facts["machine"], facts["versions"]
    kind = "a virtual machine" if machine["virtual"] else "no virtual machine"
    known = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    rounds = f"{facts['rounds']} rounds of {facts['seconds']} s"
    yield f"Taken on {facts['date']}: {rounds}, {facts['minutes']} minutes in all."
    yield ""
    yield f"- Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {kind};"
    yield f"  {machine['system']}, Linux {machine['kernel']}"
    yield f"- Cores: {facts['cores']}"
    yield f"- Versions: {known}"
    yield f"- Instructions: {facts['counters']}"
    yield f"- Others on the machine: a load of {facts['others']} a core at the start;"
    yield f"  {facts['stolen']} % of the processors' time went to other virtual machines"
    yield ""


def section(outcome):
    yield f"### {outcome.title}"
    yield ""
    yield outcome.says
    yield ""
    if outcome.rows:
        yield "| | " + " | ".join(column.title for column in outcome.columns) + " |"
        yield "|---|" + "---:|" * len(outcome.columns)
        for row in outcome.rows:
            yield f"| {row.title} | " + " | ".join(shown(row, column) for column in outcome.columns) + " |"
        yield ""
    for title, why in outcome.left_out:
        yield f"- Left out: {title}: {why}"
    for title, why in outcome.faults:
        yield f"- **Failed**: {title}: {why}"
    for note in outcome.notes:
        yield f"- {note}"
    if outcome.left_out or outcome.faults or outcome.notes:
        yield ""


def shown(row, column):
    figure = row.figures.get(column.figure)
    if figure is None:
        return ""
    if not isfinite(figure.median):
        return "never"
    text = f"{figure.median:,.{column.digits}f}"
    return f"{text} ± {figure.spread():.0%}" if column.spread else text
