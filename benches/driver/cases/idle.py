"""What a connection costs that does nothing: most are like that, most of the time."""

import resource
import time
from contextlib import ExitStack

from .. import load, proof
from ..background import Background
from ..faults import Unproven
from ..gateways import Wanted
from ..meter import measure
from ..outcome import Column, Figure, Outcome, Row
from .run import SMALL

FEW, MANY = 1000, 10_000

# After which nothing moves any more: a gateway may put away what an idle connection does not need.
REST = 4


class Idle:
    key, title, emulated = "idle", "Idle connections", False
    says = (
        "Memory of the gateway for each keep-alive connection on which one request was answered, a few"
        " seconds later. What it had before, after a load, is not counted, nor are the kernel's buffers."
        " nginx and HAProxy set aside at the start part of what a connection needs."
    )

    def run(self, run):
        few, many = Column("few", f"KiB each of {FEW:,}", 2), Column("many", f"KiB each of {MANY:,}", 2)
        plot = ("many", "KiB per idle connection")
        outcome = Outcome(self.key, self.title, self.says, [few, many], plot=plot)
        needed, files = MANY + 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if files < needed:
            outcome.left_out.append((self.title, f"needs {needed} open files, and `ulimit -Hn` says {files}"))
            return outcome
        page = proof.page(run.stage.upstream, SMALL)
        with ExitStack() as held:
            wanted = Wanted(run.stage.upstream)
            for gateway in run.ready(held, outcome, wanted, lambda one: proof.prove(one, run.stage, SMALL)):
                try:
                    figures = rest(run.stage, gateway, page.decode())
                except Unproven as why:
                    outcome.faults.append((gateway.title, str(why)))
                    continue
                outcome.rows.append(Row(gateway.key, gateway.title, figures))
                run.say(f"  {gateway.title}: {figures['many'].median:.2f} KiB")
        return outcome


def rest(stage, gateway, page):
    """Opens connections, and looks at the memory when they have rested."""
    measure(stage, gateway, load.Wrk(stage, SMALL), 2)
    time.sleep(REST)
    before = gateway.process.memory()
    order = dict(http=gateway.http, path=SMALL, cookies=gateway.cookies[:1000], page=page)
    figures = {}
    with Background(stage, "idle.py", **order) as visitors:
        for name, count in (("few", FEW), ("many", MANY)):
            visitors.bring(count)
            time.sleep(REST)
            more = max(gateway.process.memory() - before, 0)
            figures[name] = Figure.over([more / count / 1024])
    return figures
