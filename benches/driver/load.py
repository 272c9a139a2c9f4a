"""Clients that load a gateway, and what they tell afterwards."""

import json
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import programs
from .faults import Unproven
from .process import settle

CLIENTS = Path(__file__).resolve().parents[1] / "clients"

# Connections that browsers keep busy at one time.
CONNECTIONS = 64

# HTTP/2 has fewer connections with several requests on each.
H2_CONNECTIONS, H2_STREAMS = 16, 4

# More than there are requests in a round, or nearly.
COOKIES_AT_ONCE = 50_000

# Requests a second when answers are timed: far below what any of them can do. h2load sends them in
# bursts, one on each connection at the same moment, so that with several it is a queue that is timed.
STEADY_RATE = 1000


@dataclass
class Told:
    """What a client says of its work."""

    requests: int
    seconds: float


def run(command, cores, seconds):
    """Runs a client to its end on these cores, and returns what it printed."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            env=programs.environment(),
            timeout=seconds * 3 + 120,
            preexec_fn=lambda: settle(cores),
        )
    except subprocess.TimeoutExpired as error:
        raise Unproven(f"{name} does not end") from error
    if done.returncode != 0:
        raise Unproven(f"{name} failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


class Wrk:
    """As many requests as go through, over HTTP/1.1 with or without TLS. A connection keeps to its
    visitor, unless the visitors are mixed: then each request has another session."""

    def __init__(self, stage, path, tls=False, mixed=False):
        self.whose = "any" if mixed else "own"
        self.stage = stage
        self.path = path
        self.tls = tls

    def command(self, gateway, seconds):
        scheme, port = ("https", gateway.https) if self.tls else ("http", gateway.http)
        threads = min(len(self.stage.cores.load), 4)
        return [
            *(programs.find("wrk"), "-t", threads, "-c", CONNECTIONS, "-d", f"{seconds}s"),
            *("-s", CLIENTS / "cookies.lua", f"{scheme}://127.0.0.1:{port}", "--"),
            *(self.path, cookie_file(self.stage, gateway), random.randrange(1 << 30), self.whose),
        ]

    def read(self, output, _seconds):
        """wrk counts redirects as answers; that they are not is seen from the upstream's own count."""
        done = re.search(r"(\d+) requests in ([\d.]+)(m?s)", output)
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
        if not done or bad or broken:
            raise Unproven(f"wrk did not get what it asked for: {(bad or broken or [output])[0]}")
        seconds = float(done.group(2)) / (1000 if done.group(3) == "ms" else 1)
        return Told(int(done.group(1)), seconds)


class PipeliningWrk(Wrk):
    """As many requests as go through, many at once on each connection: a client that takes little of the
    processor, where it has to share one with the gateway."""

    # Fewer than usual, as each has many requests under way.
    CONNECTIONS = 32

    def command(self, gateway, seconds):
        return [
            *(programs.find("wrk"), "-t", 1, "-c", self.CONNECTIONS, "-d", f"{seconds}s"),
            *("-s", CLIENTS / "pipelined.lua", f"http://127.0.0.1:{gateway.http}", "--"),
            *(self.path, cookie_file(self.stage, gateway)),
        ]


class H2load:
    """As many requests as go through, over HTTP/2."""

    def __init__(self, stage, path):
        self.stage = stage
        self.path = path

    def command(self, gateway, seconds):
        threads = min(len(self.stage.cores.load), 4)
        return [
            *(programs.find("h2load"), "-t", threads, "-c", H2_CONNECTIONS, "-m", H2_STREAMS, "-D", seconds),
            *("-H", f"cookie: {gateway.cookies[0]}", f"https://127.0.0.1:{gateway.https}{self.path}"),
        ]

    def read(self, output, seconds):
        return Told(h2load_succeeded(output), seconds)


class OwnClient:
    """A client of our own, for what the usual ones do not do. It takes its orders as JSON, and answers
    with JSON."""

    def __init__(self, stage, script, **order):
        self.stage = stage
        self.script = script
        self.order = order

    def command(self, gateway, seconds):
        order = dict(self.order, seconds=seconds, http=gateway.http, https=gateway.https)
        order["cookies"] = gateway.cookies[:1000]
        # While one waits for the gateway another may work.
        order["processes"] = 4 * len(self.stage.cores.load)
        path = self.stage.write("order.json", [json.dumps(order)])
        return [sys.executable, CLIENTS / self.script, path]

    def read(self, output, _seconds):
        told = json.loads(output)
        if told.get("fault"):
            raise Unproven(f"{self.script}: {told['fault']}")
        return Told(told["requests"], told["seconds"])


def h2load_succeeded(output):
    told = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if not told or not codes or any(int(count) for count in [*told.groups()[1:], *codes.groups()[1:]]):
        what = f"{told[0]}; {codes[0]}" if told and codes else output.strip()[-400:]
        raise Unproven(f"h2load did not get what it asked for: {what}")
    return int(told.group(1))


def latencies(stage, gateway, path, seconds, protocol="http/1.1", tls=False, connections=1):
    """How long answers take at a moderate rate, in microseconds, sorted."""
    scheme, port = ("https", gateway.https) if tls else ("http", gateway.http)
    log = stage.folder / "latencies.tsv"
    log.unlink(missing_ok=True)
    command = [
        *(programs.find("h2load"), "-t", 1, "-c", connections, "-D", seconds),
        *("--rps", STEADY_RATE // connections, f"--log-file={log}"),
        *(["--h1"] if protocol == "http/1.1" else []),
        *("-H", f"cookie: {gateway.cookies[0]}", f"{scheme}://127.0.0.1:{port}{path}"),
    ]
    h2load_succeeded(run(command, stage.cores.load, seconds))
    return sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())


def cookie_file(stage, gateway):
    """Cookies of the gateway in a file, a line each. Of very many another part each time: the client
    would otherwise need so much memory itself that the gateway feels it in the processor's caches."""
    path = stage.folder / f"{gateway.process.name}.cookies"
    if len(gateway.cookies) > COOKIES_AT_ONCE:
        stage.write(path.name, (f"{cookie}\n" for cookie in random.sample(gateway.cookies, COOKIES_AT_ONCE)))
    elif not path.exists():
        stage.write(path.name, (f"{cookie}\n" for cookie in gateway.cookies))
    return path
