"""User instructions of a request, counted by valgrind: the same on every machine and at every hour,
and all that can be had of instructions where the processor's own counters are out of reach."""

from contextlib import ExitStack

from .. import load, profile, programs
from ..faults import LeftOut, Unproven
from ..gateways import NGINX, Wanted
from ..outcome import Column, Figure, Outcome, Row
from .run import LARGE, OPEN, SMALL

# The difference between a run of so many requests and one of more is free of what starting costs.
FEW, MANY = 1000, 3000

# Enough that some are under way together, as under load.
CONNECTIONS = 8


class Callgrind:
    key, title = "callgrind", "User instructions by valgrind"
    says = (
        f"Thousands of instructions in user space for a request, from the difference between {FEW:,} and"
        f" {MANY:,} requests under callgrind. What the kernel does for a request is not in it, and as"
        " valgrind has no SHA instructions, hashing costs more here than on a processor that has them."
    )

    def run(self, run):
        titles = {"small": "small", "off": "small, open path", "large": "64 KiB"}
        columns = [Column(key, title, 2) for key, title in titles.items()]
        outcome = Outcome(self.key, self.title, self.says, columns)
        kinds = [*run.tollgates, *(kind for kind in run.others if kind is NGINX)]
        for kind in kinds:
            figures = {}
            for name, path in (("small", SMALL), ("off", OPEN), ("large", LARGE)):
                if kind is NGINX and name == "off":
                    continue
                try:
                    few, many = profiled(run, kind, path, FEW), profiled(run, kind, path, MANY)
                except LeftOut as why:
                    outcome.left_out.append((kind.title, str(why)))
                    break
                except Unproven as why:
                    outcome.faults.append((kind.title, str(why)))
                    break
                each = many.since(few, MANY - FEW)
                count = sum(each.own.values())
                run.say(f"  {kind.title}, {name}: {count:,.0f}")
                figures[name] = Figure.over([count / 1000])
                functions = run.results / f"callgrind-{kind.key}-{name}.txt"
                functions.write_text("\n".join(profile.told(each)) + "\n")
            if figures:
                outcome.rows.append(Row(kind.key, kind.title, figures))
        return outcome


def profiled(run, kind, path, requests):
    """The profile of one run from its start to its end."""
    written = run.results / f"callgrind-{kind.key}-{path.strip('/').replace('/', '-')}-{requests}.out"
    written.unlink(missing_ok=True)
    inside = (programs.find("valgrind"), "--tool=callgrind", f"--callgrind-out-file={written}")
    wanted = Wanted(run.stage.upstream, one_process=True, inside=inside, sessions=1)
    with ExitStack() as held:
        gateway = kind.start(run.stage, held, wanted)
        command = [
            *(programs.find("h2load"), "--h1", "-c", CONNECTIONS, "-n", requests),
            *("-H", f"cookie: {gateway.cookies[0]}", f"http://127.0.0.1:{gateway.http}{path}"),
        ]
        load.h2load_succeeded(load.run(command, run.stage.cores.load, 60))
    if not written.exists():
        raise Unproven(f"callgrind wrote nothing about {kind.title}")
    return profile.Profile.read(written)
