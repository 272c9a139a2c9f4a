"""A process that is driven: where it runs, what it has used, and that it ends when we do."""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

from .faults import Unproven
from .programs import environment

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# From linux/prctl.h.
PR_SET_PDEATHSIG = 1

LIBC = ctypes.CDLL(None, use_errno=True)


class Process:
    """A process with its children, pinned to cores. Ends with the `with` block."""

    def __init__(self, name, command, cores, log):
        self.name = name
        self.log = Path(log)
        # Seconds that it has for ending by itself.
        self.patience = 5
        with open(self.log, "wb") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(),
                cwd="/",
                start_new_session=True,
                preexec_fn=lambda: settle(cores),
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Asks it to end, and makes it end if it does not."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(timeout=self.patience)
            except subprocess.TimeoutExpired:
                pass
        try:
            # Its children: the session is its own, so this meets nobody else.
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def wait_for_port(self, port, seconds=20):
        """Returns when it accepts connections."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise Unproven(f"{self.name} ended at once: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Unproven(f"{self.name} does not listen: {self.last_words()}")

    def last_words(self):
        return self.log.read_text(errors="replace").strip()[-600:] or "without a word"

    def pids(self):
        """The process and its descendants."""
        found, new = [], [self.child.pid]
        while new:
            pid = new.pop()
            found.append(pid)
            try:
                for path in Path(f"/proc/{pid}/task").glob("*/children"):
                    new += map(int, path.read_text().split())
            except OSError:
                pass
        return found

    def cpu_seconds(self):
        """Processor time of all of them so far, (user, kernel), to a hundredth of a second."""
        user = kernel = 0
        for pid in self.pids():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                continue
            # The name in parentheses may hold anything; what follows is numbers. Fields 14 to 17 of
            # proc(5), the latter two for children that have ended.
            fields = stat.rpartition(")")[2].split()
            user += int(fields[11]) + int(fields[13])
            kernel += int(fields[12]) + int(fields[14])
        return user / TICKS_PER_SECOND, kernel / TICKS_PER_SECOND

    def cpu_nanoseconds(self):
        """The same, user and kernel together, as exactly as the scheduler knows it."""
        total = 0
        for pid in self.pids():
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(path.read_text().split()[0])
                except OSError:
                    continue
        return total

    def memory(self):
        """Bytes of memory of all of them; what they share counts once (PSS)."""
        total = 0
        for pid in self.pids():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total * 1024


def settle(cores=None):
    """What a child does before it becomes the program: it takes its cores, gets as many open files as
    it may have, and is told to end if we die without a word."""
    if cores is not None:
        os.sched_setaffinity(0, cores)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
