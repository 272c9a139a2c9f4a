"""Measures contenders in turns: A B C, A B C, and so on.

On a machine that others use as well, the minute decides more than the gateway. In turns, all meet the
same minutes, and what one costs is compared with what the first costs in the same round.
"""

from dataclasses import dataclass

from . import load, meter
from .faults import LeftOut, Unproven
from .outcome import Column, Figure, Outcome, Row


@dataclass
class Contender:
    """One of those that are compared."""

    key: str
    title: str
    gateway: object
    # Makes the load, see `load`.
    client: object
    # Where answers are timed.
    path: str

    @classmethod
    def of(cls, gateway, client, path):
        return cls(gateway.key, gateway.title, gateway, client, path)


@dataclass(frozen=True)
class Pace:
    """How long things take."""

    rounds: int
    # Of each load.
    seconds: int
    # Of the steady load by which answers are timed.
    steady_seconds: int


def take_turns(outcome, run, contenders, baseline, timed=None, tls=False, counted=True):
    """Fills `outcome` with a row for each contender. `timed` is the protocol for timing answers, if
    they are timed; `counted` says that the upstream counts what it answers."""
    samples = {contender.key: [] for contender in contenders}
    running = list(contenders)
    for number in range(run.pace.rounds + 1):
        for contender in list(running):
            # The first round is for warming up.
            seconds = run.pace.seconds if number else 1
            try:
                sample = meter.measure(run.stage, contender.gateway, contender.client, seconds, counted)
                if number and timed:
                    add_times(sample, run, contender, timed, tls)
            except (Unproven, LeftOut) as why:
                run.say(f"  {contender.title}: {why}")
                outcome.faults.append((contender.title, str(why)))
                running.remove(contender)
                continue
            if number:
                samples[contender.key].append(sample)
                run.say(f"  round {number}, {contender.title}: {in_short(sample)}")
    compared = samples[baseline] if baseline in {contender.key for contender in running} else []
    for contender in running:
        figures = summary(samples[contender.key], compared)
        outcome.rows.append(Row(contender.key, contender.title, figures))
    return outcome


def add_times(sample, run, contender, protocol, tls):
    seconds = run.pace.steady_seconds
    times = load.latencies(run.stage, contender.gateway, contender.path, seconds, protocol, tls)
    if not times:
        raise Unproven(f"{contender.title} answers nothing at a moderate rate")
    sample.p50 = times[len(times) // 2]
    sample.p99 = times[len(times) * 99 // 100]


def in_short(sample):
    each = (sample.user + sample.kernel) / sample.requests * 1e6
    return f"{sample.requests / sample.seconds:,.0f}/s, {each:.1f} µs"


def summary(samples, baseline):
    """The figures of one contender; ratios are between samples of the same round."""

    def each(value):
        return Figure.over(map(value, samples))

    def against(value):
        pairs = [(value(own), value(other)) for own, other in zip(samples, baseline)]
        return Figure.over(own / other if own and other else None for own, other in pairs)

    return {
        "rate": each(rate),
        "rate_ratio": against(rate),
        "cpu": each(lambda sample: 1e6 * cpu(sample)),
        "cpu_user": each(lambda sample: 1e6 * sample.user / sample.requests),
        "cpu_ratio": against(cpu),
        "busy": each(lambda sample: 100 * (sample.user + sample.kernel) / sample.seconds),
        "instructions": each(lambda sample: thousands(sample, sample.instructions)),
        "instructions_user": each(lambda sample: thousands(sample, sample.user_instructions)),
        "instructions_kernel": each(lambda sample: thousands(sample, sample.kernel_instructions)),
        "instructions_ratio": against(lambda sample: thousands(sample, sample.instructions)),
        "p50": each(lambda sample: sample.p50),
        "p99": each(lambda sample: sample.p99),
        "memory": each(lambda sample: sample.memory / 1024**2),
    }


def rate(sample):
    return sample.requests / sample.seconds


def cpu(sample):
    return (sample.user + sample.kernel) / sample.requests


def thousands(sample, count):
    return None if count is None else count / sample.requests / 1000


def columns(unit, versus, timed=True):
    """The usual columns; those of instructions only where they are counted."""
    shown = [
        Column("rate", f"{unit}s/s"),
        Column("busy", "core busy %"),
        Column("cpu", f"CPU µs/{unit}", 1, spread=True),
        Column("cpu_ratio", f"CPU × {versus}", 2),
    ]
    if meter.counters() is None:
        shown += [
            Column("instructions_user", "thousand instructions, user", 1),
            Column("instructions_kernel", "kernel", 1),
            ratio_of_instructions(versus),
        ]
    if timed:
        shown += [Column("p50", "p50 µs"), Column("p99", "p99 µs")]
    return [*shown, Column("memory", "memory MiB", 1)]


def ratio_of_instructions(versus):
    return Column("instructions_ratio", f"instructions × {versus}", 3)


def add_instructions(outcomes, elsewhere):
    """Puts the instructions that were counted in another machine, as JSON has them, beside the other
    figures of the same cases and gateways."""
    by_case = {case["key"]: case for case in elsewhere}
    for outcome in outcomes:
        case = by_case.get(outcome.key, {"rows": [], "left_out": [], "faults": []})
        by_row = {row["key"]: row["figures"] for row in case["rows"]}
        for row in outcome.rows:
            for name in ("instructions", "instructions_ratio", "bare", "bare_ratio"):
                found = by_row.get(row.key, {}).get(name)
                row.figures[name] = Figure(**found) if found else None
        outcome.faults += [(f"{title}, emulated", why) for title, why in case["faults"]]
        if by_row:
            place = [column.figure for column in outcome.columns].index("cpu_ratio")
            versus = outcome.columns[place].title.removeprefix("CPU × ")
            counted = [Column("instructions", "thousand instructions", 1), ratio_of_instructions(versus)]
            if any(row.figures["bare"] for row in outcome.rows):
                counted += [Column("bare", "less copying", 1), Column("bare_ratio", f"× {versus}", 3)]
            outcome.columns[place + 1 : place + 1] = counted


def add_scaling(outcome, case, cores):
    """Puts how the rate grows on the cores of another machine, as JSON has the case, beside the other figures."""
    by_row = {row["key"]: row["figures"] for row in case["rows"]}
    for row in outcome.rows:
        found = by_row.get(row.key, {}).get("rate_ratio")
        row.figures["rate_ratio_apart"] = Figure(**found) if found else None
    outcome.faults += [(f"{title}, emulated", why) for title, why in case["faults"]]
    outcome.columns.insert(2, Column("rate_ratio_apart", f"× one, with {cores} emulated cores", 2, spread=True))


def new_outcome(key, title, says, unit, versus, timed=True):
    """An outcome with the usual columns, and in the plot the most dependable figure."""
    if meter.counters() is None:
        plot = ("instructions", f"thousand instructions per {unit}")
    else:
        plot = ("cpu", f"µs of processor time per {unit}")
    return Outcome(key, title, says, columns(unit, versus, timed), plot=plot)
