"""Whether visitors who take their time hold up the others."""

import time
from contextlib import ExitStack
from math import inf

from .. import load, proof
from ..background import Background
from ..faults import LeftOut, Unproven
from ..gateways import Wanted
from ..outcome import Column, Figure, Outcome, Row
from .run import SMALL

COUNT = 1000

# Of the others, whose answers are timed.
CONNECTIONS = 8

# A round takes a minute and more.
ROUNDS = 3

# What they are slow at, what they ask for, and how it is called.
KINDS = (
    ("head", "/closed/small", "slow heads"),
    ("body", "/closed/upload", "slow bodies"),
    ("reader", "/closed/huge", "slow readers"),
)

# Slow visitors arrive all at once, and readers are sent at first what fits into buffers. What is of
# interest begins when that is over: when the gateway has less to do than this part of a core.
CALM = 0.2
PATIENCE = 20


class Slow:
    key, title, emulated = "slow", f"Beside {COUNT:,} slow visitors", False
    says = (
        "The 99th percentile of answer times in microseconds, with"
        f" {CONNECTIONS} connections at {load.STEADY_RATE:,} requests a second: with nobody else there, and"
        f" beside {COUNT:,} visitors who send a byte of their request head a second, or a byte of a long"
        " request body, or read a kilobyte a second of two megabytes; and the gateway's memory for each of"
        " these."
    )

    def run(self, run):
        columns = [Column("alone", "p99 alone")]
        for key, _, title in KINDS:
            columns += [Column(key, f"beside {title}"), Column(f"{key}_ratio", "× alone", 2)]
            columns.append(Column(f"{key}_memory", "KiB each"))
        outcome = Outcome(self.key, self.title, self.says, columns)
        with ExitStack() as held:
            wanted = Wanted(run.stage.upstream)
            gateways = list(run.ready(held, outcome, wanted, lambda one: proof.prove(one, run.stage, SMALL)))
            found = {gateway.key: [] for gateway in gateways}
            for number in range(min(run.pace.rounds, ROUNDS)):
                for gateway in list(gateways):
                    try:
                        times = one_round(run, gateway)
                    except (LeftOut, Unproven) as why:
                        outcome.faults.append((gateway.title, str(why)))
                        gateways.remove(gateway)
                        continue
                    found[gateway.key].append(times)
                    told = ", ".join(f"{key} {times[key]} µs" for key in ("alone", "head", "body", "reader"))
                    run.say(f"  round {number + 1}, {gateway.title}: {told}")
        for gateway in gateways:
            outcome.rows.append(Row(gateway.key, gateway.title, summary(found[gateway.key])))
        return outcome


def one_round(run, gateway):
    """The 99th percentile alone and beside each kind of slow visitors, and the memory that these take."""
    times = {"alone": p99(run, gateway)}
    for kind, path, _ in KINDS:
        before = gateway.process.memory()
        order = dict(kind=kind, path=path, http=gateway.http, cookies=gateway.cookies[:COUNT])
        with Background(run.stage, "slow.py", **order) as visitors:
            visitors.bring(COUNT)
            wait_for_calm(gateway)
            times[f"{kind}_memory"] = max(gateway.process.memory() - before, 0) / COUNT / 1024
            times[kind] = p99(run, gateway)
        wait_for_calm(gateway)
    return times


def wait_for_calm(gateway):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        before = sum(gateway.process.cpu_seconds())
        time.sleep(1)
        if sum(gateway.process.cpu_seconds()) - before < CALM:
            return


def p99(run, gateway):
    """In microseconds; without end if nobody got an answer, as where each slow visitor has a thread."""
    times = load.latencies(run.stage, gateway, SMALL, run.pace.steady_seconds, connections=CONNECTIONS)
    return times[len(times) * 99 // 100] if times else inf


def summary(rounds):
    figures = {"alone": Figure.over(times["alone"] for times in rounds)}
    for kind, _, _ in KINDS:
        figures[kind] = Figure.over(times[kind] for times in rounds)
        figures[f"{kind}_ratio"] = Figure.over(times[kind] / times["alone"] for times in rounds)
        # Later rounds find the memory that the first one left.
        figures[f"{kind}_memory"] = Figure.over([rounds[0][f"{kind}_memory"]])
    return figures
