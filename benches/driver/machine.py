"""What machine this is, and which of its cores does what.

A figure without its machine means nothing, and a gateway that shares its core with the client that
loads it is measured together with it.
"""

import os
import platform
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """Which cores the processes are pinned to; where they are equal they have to share."""

    gateway: tuple[int, ...]
    upstream: tuple[int, ...]
    load: tuple[int, ...]

    @classmethod
    def for_workers(cls, workers):
        """A core for each worker from the first on, the last for the site behind, the load between.

        None if there are not enough for several workers. For a single one there always are: with two
        cores the load shares one with the upstream, and with one core everything does.
        """
        cores = tuple(distinct_cores())
        if len(cores) >= workers + 2:
            return cls(cores[:workers], cores[-1:], cores[workers:-1])
        return None if workers > 1 else cls(cores[:1], cores[-1:], cores[-1:])

    @classmethod
    def shared_by_workers(cls, workers):
        """A core for each worker, which they share with everything else; None if there are not even those."""
        cores = tuple(distinct_cores())[:workers]
        return cls(cores, cores, cores) if len(cores) == workers else None

    @property
    def are_shared(self):
        """Whether the load gets in the way of the gateway."""
        return bool(set(self.gateway) & set(self.load))

    def __str__(self):
        def names(cores):
            return " ".join(map(str, cores))

        apart = f"gateway on {names(self.gateway)}, upstream on {names(self.upstream)}"
        return f"{apart}, load on {names(self.load)}"


def distinct_cores():
    """The processors that we may use, one for each physical core: two threads of one core are not
    two cores."""
    chosen, taken = [], set()
    for number in sorted(os.sched_getaffinity(0)):
        if number not in taken:
            chosen.append(number)
            taken |= siblings(number)
    return chosen


def siblings(number):
    path = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
    try:
        text = path.read_text().strip()
    except OSError:
        return {number}
    found = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


# A word on the kernel's command line.
CLOCK_COUNTS_INSTRUCTIONS = "clock_counts_instructions"


@cache
def clock_counts_instructions():
    """Whether this is an emulated machine in which a nanosecond is an instruction."""
    return CLOCK_COUNTS_INSTRUCTIONS in Path("/proc/cmdline").read_text().split()


def describe():
    """The machine in a few words, for whoever compares figures."""
    cpu = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    release = Path("/etc/os-release")
    release = release.read_text() if release.exists() else ""
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', release, re.MULTILINE)
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": len(distinct_cores()),
        "threads": os.cpu_count(),
        "memory_gib": round(int(memory.group(1)) / 1024**2) if memory else None,
        "kernel": platform.release(),
        "system": system.group(1) if system else platform.system(),
        "virtual": bool(re.search(r"^flags\s*:.*\bhypervisor\b", cpu, re.MULTILINE)),
    }


def load_average():
    """How much others want of the machine: the load of the last minute, for each core."""
    return os.getloadavg()[0] / len(distinct_cores())


def stolen_ticks():
    """Time that the hypervisor gave to others, and all time, in ticks of all processors: proc_stat(5)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return fields[7], sum(fields[:8])


def stolen_since(before):
    """The part that was taken since, in percent."""
    stolen, total = (now - then for now, then in zip(stolen_ticks(), before))
    return round(100 * stolen / max(total, 1), 1)
