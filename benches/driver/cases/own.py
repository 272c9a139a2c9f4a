"""tollgate beside itself: what a session, a second worker and a million sessions make of it."""

import time
from contextlib import ExitStack
from dataclasses import replace

from .. import proof
from ..faults import LeftOut
from ..gateways import Wanted
from ..load import PipeliningWrk, Wrk
from ..machine import Cores
from ..outcome import Column, Figure
from ..rounds import Contender, new_outcome, take_turns
from .run import OPEN, SMALL, WHO_AM_I


class Access:
    """What the session costs: one process, two paths."""

    key, title, emulated = "access", "With and without a session", True
    says = (
        "The same small request to one tollgate process: on a closed path, where the session is checked and the"
        ' upstream is told who is there, and on a path with `access = "off"`. A browser\'s connection comes with'
        " the same cookies again and again; where a proxy in front mixes its visitors, each request has others."
    )

    def run(self, run):
        outcome = new_outcome(self.key, self.title, self.says, "request", "required", timed=False)
        outcome.plot = None
        with ExitStack() as held:
            gateway = run.tollgates[0].start(run.stage, held, Wanted(run.stage.upstream))
            contenders = []
            for key, path, mixed in (("required", SMALL, False), ("mixed", SMALL, True), ("off", OPEN, False)):
                proof.prove(gateway, run.stage, path)
                title = 'access = "required", visitors mixed' if mixed else f'access = "{key}"'
                client = Wrk(run.stage, path, mixed=mixed)
                contenders.append(Contender(key, title, gateway, client, path))
            return take_turns(outcome, run, contenders, "required")


class Workers:
    """What a second worker adds."""

    key, title, emulated = "workers", "One worker and two", False
    says = "Small requests to tollgate with one worker on one core, and with two workers on two."
    shared = (
        " There are no cores besides: the client shares those two, so that two workers get less than two. So that"
        " it has little to do it sends 32 requests at once on each connection, which tollgate answers itself:"
        " those of a page's script that asks who is signed in. In the emulated machine both workers, the site"
        " behind and the client have cores of their own, and it is small pages that are asked for; caches, for"
        " which real cores compete, are not emulated."
    )

    @staticmethod
    def shares_cores():
        """Whether two workers, the site behind and a client are too many for this machine."""
        return Cores.for_workers(2) is None

    def run(self, run):
        outcome = new_outcome(self.key, self.title, self.says, "request", "one", timed=False)
        outcome.plot = None
        outcome.columns.insert(1, replace(outcome.columns[0], figure="rate_ratio", title="× one", digits=2))
        try:
            cores = run.stage.cores_for(2)
        except LeftOut as why:
            outcome.left_out.append((self.title, str(why)))
            return outcome
        if cores.are_shared:
            outcome.says += self.shared
            client = PipeliningWrk(run.stage, WHO_AM_I)
        else:
            client = Wrk(run.stage, SMALL)
        with ExitStack() as held:
            contenders = []
            for workers, title in ((1, "one worker"), (2, "two workers")):
                gateway = run.tollgates[0].start(run.stage, held, Wanted(run.stage.upstream, workers=workers))
                proof.prove(gateway, run.stage, SMALL)
                contenders.append(Contender(str(workers), title, gateway, client, client.path))
            with run.stage.rearranged(cores):
                return take_turns(outcome, run, contenders, "1", counted=not cores.are_shared)


class Sessions:
    """What it costs that many are signed in."""

    # What many sessions cost is waiting for memory, which no count of instructions shows.
    key, title, emulated = "sessions", "Live sessions", False

    # Those that are compared with.
    FEW = 1000

    says = (
        "Small requests to two tollgate processes, one with a thousand live sessions and one with many, each"
        " person with one session; every request comes with another session, from all over the table. The"
        " memory of a visitor is that of the person's entry in the directory and of the session together."
    )

    def run(self, run):
        outcome = new_outcome(self.key, self.title, self.says, "request", f"{self.FEW:,}", timed=False)
        outcome.plot = None
        outcome.columns.append(Column("visitor_bytes", "bytes/visitor"))
        with ExitStack() as held:
            few = run.tollgates[0].start(run.stage, held, Wanted(run.stage.upstream, sessions=self.FEW))
            many = run.tollgates[0].start(run.stage, held, Wanted(run.stage.upstream, sessions=self.FEW))
            run.say(f"  signing in {run.many:,} visitors")
            begun = settled_memory(many)
            tokens = many.door.issue(run.many)
            many.cookies = many.door.redeem(tokens)
            redeemed = settled_memory(many)
            contenders = []
            for gateway, count in ((few, self.FEW), (many, run.many)):
                proof.prove(gateway, run.stage, SMALL)
                title = f"{count:,} sessions"
                client = Wrk(run.stage, SMALL, mixed=True)
                contenders.append(Contender(str(count), title, gateway, client, SMALL))
            take_turns(outcome, run, contenders, str(self.FEW))
            for row in outcome.rows:
                if row.key == str(run.many):
                    row.figures["visitor_bytes"] = Figure.over([(redeemed - begun) / run.many])
        return outcome


def settled_memory(gateway):
    """Memory when what was only needed for the way is given back."""
    time.sleep(2)
    return gateway.process.memory()
