"""What has to be known about a run, so that its figures mean something."""

import shutil
import subprocess
import time

from . import machine, meter, programs, tollgate

# Programs by the names that people know them by.
NAMES = {
    "nginx": "nginx",
    "haproxy": "HAProxy",
    "apache2": "Apache",
    "caddy": "Caddy",
    "wrk": "wrk",
    "h2load": "h2load",
}


class Begin:
    """What there was before the first load."""

    def __init__(self):
        self.time = time.time()
        self.stolen = machine.stolen_ticks()
        self.others = round(machine.load_average(), 2)

    def until_now(self, build, pace, cores, emulated=None):
        """All that is to be known, for machines; `report` has the words. `emulated` is the same of the
        machine in which instructions were counted."""
        versions = {title: programs.version(name) for name, title in NAMES.items()}
        return {
            "date": time.strftime("%Y-%m-%d", time.gmtime(self.time)),
            "minutes": round((time.time() - self.time) / 60),
            "rounds": pace.rounds,
            "seconds": pace.seconds,
            "machine": machine.describe(),
            "cores": cores,
            "others": self.others,
            "stolen": machine.stolen_since(self.stolen),
            "counters": counted(emulated),
            "versions": {"tollgate": f"{tollgate.version(build.program)} ({commit()})", **versions},
        }


def counted(emulated):
    """Who counted the instructions, or why nobody did."""
    if emulated is not None:
        system = emulated["machine"]
        return f"counted in an emulated machine with one core and Linux {system['kernel']}: {system['cpu']}"
    return meter.counters() or "counted by perf"


def commit():
    """The commit that the work tree is at, which is the one of the build unless another was named."""
    git = shutil.which("git")
    if git is None:
        return "commit unknown"
    told = subprocess.run(
        [git, "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        cwd=programs.REPOSITORY,
    )
    return told.stdout.strip() or "commit unknown"
