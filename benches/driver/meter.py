"""What a load costs the gateway: processor time, and instructions where the machine counts them."""

import re
import subprocess
from dataclasses import dataclass
from functools import cache

from . import load, machine, programs, proof
from .faults import LeftOut, Unproven

EVENTS = ("instructions:u", "instructions:k")


@dataclass
class Sample:
    """One gateway under one load for one round. Times are in seconds."""

    requests: int
    seconds: float
    user: float
    kernel: float
    # Where they are counted: all of them, and those of user space and of the kernel apart.
    instructions: int | None
    user_instructions: int | None
    kernel_instructions: int | None
    # Bytes, after the load.
    memory: int
    # Answer times in microseconds; None where they are not measured.
    p50: float | None = None
    p99: float | None = None


def measure(stage, gateway, client, seconds, counted=True):
    """Loads a gateway with `client`. Where `counted`, those who must have been asked have to agree: the
    upstream, and the service that is to say who may pass."""
    command = client.command(gateway, seconds)
    counts = stage.folder / "instructions.csv"
    counts.unlink(missing_ok=True)
    if counters() is None:
        pids = ",".join(map(str, gateway.process.pids()))
        perf = [programs.find("perf"), "stat", "-x,", "-e", ",".join(EVENTS), "-p", pids, "-o", counts, "--"]
        command = [*perf, *command]
    asked = who_is_asked(stage, gateway) if counted else {}
    before = {who: proof.answered(port) for who, port in asked.items()}
    user, kernel = gateway.process.cpu_seconds()
    nanoseconds = gateway.process.cpu_nanoseconds()
    told = client.read(load.run(command, stage.cores.load, seconds), seconds)
    user_after, kernel_after = gateway.process.cpu_seconds()
    nanoseconds = gateway.process.cpu_nanoseconds() - nanoseconds
    for who, port in asked.items():
        came = proof.answered(port) - before[who]
        if came < told.requests:
            raise Unproven(f"of {told.requests} requests that {gateway.title} answered, {came} came to {who}")
    if told.requests == 0:
        raise Unproven(f"{gateway.title} answered nothing")
    found = read_counts(counts) if counts.exists() else {}
    if machine.clock_counts_instructions():
        instructions = nanoseconds
    else:
        instructions = sum(found.values()) if len(found) == len(EVENTS) else None
    return Sample(
        requests=told.requests,
        seconds=told.seconds,
        user=user_after - user,
        kernel=kernel_after - kernel,
        instructions=instructions,
        user_instructions=found.get(EVENTS[0]),
        kernel_instructions=found.get(EVENTS[1]),
        memory=gateway.process.memory(),
    )


def who_is_asked(stage, gateway):
    """By whom each request is to be seen, and at which port."""
    upstream = {"the upstream": stage.upstream}
    return upstream | {"the authentication service": stage.auth} if gateway.asks else upstream


@cache
def counters():
    """None if this machine counts instructions; else why it does not."""
    try:
        command = [programs.find("perf"), "stat", "-x,", "-e", ",".join(EVENTS), "--", "true"]
    except LeftOut as why:
        return str(why)
    told = subprocess.run(command, capture_output=True, text=True, env=programs.environment())
    if "<not supported>" in told.stderr:
        return "this machine has no counters for them, as is usual for virtual ones"
    if told.returncode != 0 or not re.search(r"^\d+,.*instructions:k", told.stderr, re.MULTILINE):
        return "perf may not count here: see kernel.perf_event_paranoid"
    return None


def read_counts(path):
    """The lines of `perf stat -x,`: a number, a unit, the event, and more."""
    fields = [line.split(",") for line in path.read_text().splitlines()]
    return {line[2]: int(line[0]) for line in fields if len(line) > 2 and line[0].isdigit()}
