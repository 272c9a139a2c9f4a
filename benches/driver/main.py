"""The command line of the benches."""

import argparse
import json
import signal
import sys
from pathlib import Path

from . import facts, gateways, machine, meter, plot, programs, publish, report
from .cases import BULKY, CALLGRIND, CASES, Run, Workers
from .emulator import BY_BYTES, Emulator, add_bare
from .faults import LeftOut, Unproven
from .outcome import Outcome
from .rounds import Pace, add_instructions, add_scaling
from .stage import Stage

RESULTS = programs.REPOSITORY / "target/bench"

# A minute or two for trying out whether all is well; its figures are worth little.
QUICK = Pace(rounds=2, seconds=1, steady_seconds=1)

# Where instructions are counted one round is hardly unlike another.
COUNTED = ("--rounds=1", "--seconds=1")

# For two workers, the site behind, and clients that are never the limit.
CORES_APART = 6


def main():
    options = read_options()
    if options.list:
        for case in CASES:
            print(f"{case.key:12}{case.title}")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    warn()
    builds = [gateways.tollgate_kind(binary(options.binary))]
    if options.baseline:
        builds.append(gateways.tollgate_kind(binary(options.baseline), "baseline", "tollgate, the baseline"))
    pace = QUICK if options.quick else Pace(options.rounds, options.seconds, max(options.seconds // 2, 1))
    noted = facts.Begin()
    try:
        outcomes, cores = measure(options, builds, pace)
        emulated = emulate(options, builds, outcomes) if options.emulate else None
    except (LeftOut, Unproven) as why:
        sys.exit(f"benches/run: {why}")
    except KeyboardInterrupt:
        sys.exit("benches/run: stopped; nothing was written")
    write(noted.until_now(builds[0], pace, cores, emulated), outcomes)
    if options.publish:
        publish.publish(RESULTS)
        say("docs/performance.md and docs/performance.svg have them too")
    return 1 if any(outcome.faults for outcome in outcomes) else 0


def measure(options, builds, pace):
    """Runs the cases that are asked for."""
    others = chosen(gateways.OTHERS, options.peers)
    cases = chosen(CASES, options.cases) + ([CALLGRIND] if options.callgrind else [])
    RESULTS.mkdir(parents=True, exist_ok=True)
    outcomes = []
    with Stage() as stage:
        run = Run(stage, builds, others, pace, options.sessions, say, RESULTS)
        say(f"{stage.cores}; files in {stage.folder}")
        for case in cases:
            say(f"{case.title}:")
            outcomes.append(attempt(case, run))
        return outcomes, str(stage.cores)


def attempt(case, run):
    """Runs a case. One that cannot even begin is no reason to lose the others."""
    try:
        return case.run(run)
    except LeftOut as why:
        return Outcome(case.key, case.title, case.says, [], left_out=[(case.title, str(why))])
    except Unproven as why:
        return Outcome(case.key, case.title, case.says, [], faults=[(case.title, str(why))])


def emulate(options, builds, outcomes):
    """Has the same counted in an emulated machine, and returns what is to be known of that."""
    emulator = Emulator()
    cases = [case.key for case in chosen(CASES, options.cases) if case.emulated]
    asked = [f"--cases={','.join(cases)}", *COUNTED]
    asked += [f"--binary={builds[0].program}"]
    asked += [f"--baseline={build.program}" for build in builds[1:]]
    if options.peers is not None:
        asked.append(f"--peers={options.peers}")
    say("the same in an emulated machine, for the sake of instructions:")
    found = emulator.measure(asked)
    bulky = [case["key"] for case in found["cases"] if case["key"] in BULKY]
    if bulky:
        say("once more, to tell how many of them are copying:")
        asked[0] = f"--cases={','.join(bulky)}"
        by_bytes = emulator.measure(asked, BY_BYTES)
        add_bare([case for case in found["cases"] if case["key"] in bulky], by_bytes["cases"])
    add_instructions(outcomes, found["cases"])
    for outcome in outcomes:
        if outcome.key == Workers.key and Workers.shares_cores():
            scale(emulator, outcome, builds[0])
    return found["facts"]


def scale(emulator, outcome, build):
    """Has one worker compared with two on cores of their own, of which this machine has too few."""
    say(f"one worker and two on {CORES_APART} emulated cores:")
    asked = [f"--cases={outcome.key}", "--peers=", "--rounds=3", "--seconds=1", f"--binary={build.program}"]
    try:
        add_scaling(outcome, emulator.measure(asked, cores=CORES_APART)["cases"][0], CORES_APART)
    except LeftOut as why:
        outcome.left_out.append((f"{outcome.title}, emulated", str(why)))


def read_options():
    parser = argparse.ArgumentParser(
        prog="benches/run",
        description="Measures tollgate beside other gateways on this machine.",
        epilog="--install, before all else, brings the programs that are driven into target/bench/peers.",
    )
    known = ", ".join(kind.key for kind in gateways.OTHERS)
    add = parser.add_argument
    add("--list", action="store_true", help="name the cases and end")
    add("--cases", metavar="A,B", help="only these cases")
    add("--peers", metavar="A,B", help=f"only these of the other gateways: {known}")
    add("--rounds", type=int, default=9, help="how often each is measured in turn (9)")
    add("--seconds", type=int, default=2, help="how long each load is (2)")
    add("--sessions", type=int, default=1_000_000, help="live sessions in the large table (1000000)")
    add("--quick", action="store_true", help="two rounds of a second: to see that all works")
    add("--emulate", action="store_true", help="count instructions in an emulated machine")
    add("--callgrind", action="store_true", help="count user instructions with valgrind too")
    add("--binary", metavar="FILE", help="a tollgate that is built already")
    add("--baseline", metavar="FILE", help="another tollgate, to compare with")
    add("--publish", action="store_true", help="put table and plot into docs/performance.*")
    return parser.parse_args()


def chosen(all_of_them, names):
    if names is None:
        return list(all_of_them)
    by_key = {one.key: one for one in all_of_them}
    wanted = [name for name in names.split(",") if name]
    unknown = [name for name in wanted if name not in by_key]
    if unknown:
        sys.exit(f"benches/run: there is no {unknown[0]}, but {', '.join(by_key)}")
    return [by_key[name] for name in wanted]


def binary(path):
    found = Path(path or programs.REPOSITORY / "target/release/tollgate").resolve()
    if not found.is_file():
        sys.exit(f"benches/run: there is no {found}")
    return found


def warn():
    """What makes figures worth less."""
    if machine.clock_counts_instructions():
        return
    if machine.load_average() > 0.3:
        say("others are using this machine: trust comparisons within a round, and no single figure")
    if meter.counters():
        say(f"instructions are not counted: {meter.counters()}")


def write(known, outcomes):
    found = {"facts": known, "cases": [outcome.as_json() for outcome in outcomes]}
    table = report.markdown(known, outcomes)
    (RESULTS / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "results.md").write_text(table)
    (RESULTS / "results.svg").write_text(plot.svg(outcomes))
    print(table)
    say(f"written to {RESULTS}: results.json, results.md and results.svg")


def say(text):
    print(text, file=sys.stderr, flush=True)


def stop(*_):
    """Ends what was started, and then the run. A second signal is not to cut that short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
