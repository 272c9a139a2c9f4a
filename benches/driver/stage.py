"""What stands around the gateways in every case: a folder for all files, ports, a certificate, the
site behind, the service that some gateways ask, and the sessions that the others know."""

import getpass
import grp
import os
import random
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import programs
from .faults import LeftOut
from .machine import Cores
from .process import Process

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"

# The sizes of the site's files, by path. `small` is no file: the upstream has it in its configuration.
LARGE = 64 * 1024
HUGE = 2 * 1024 * 1024

# How many sessions each of the other gateways knows: as many as tollgate in the same case.
SESSIONS = 1000


class Stage:
    """Everything that is started and written for a run. All of it goes with the `with` block."""

    def __init__(self):
        self.held = ExitStack()
        self.cores = Cores.for_workers(1)

    def __enter__(self):
        # In the system's folder for such things: the worker processes of some run as another user, who
        # may not be able to look into ours.
        self.folder = Path(tempfile.mkdtemp(prefix="tollgate-bench-"))
        self.held.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self.folder.chmod(0o755)
            self.certificate, self.certificate_key = self.make_certificate()
            self.sessions = [(secrets.token_urlsafe(32), f"user{n}@example.com") for n in range(SESSIONS)]
            plain = (f"{key} {user}\n" for key, user in self.sessions)
            quoted = (f'"{key}" "{user}";\n' for key, user in self.sessions)
            self.sessions_plain = self.write("sessions.map", plain)
            self.sessions_nginx = self.write("sessions.nginx", quoted)
            self.write("site/closed/large", ["x" * LARGE])
            self.write("site/closed/huge", ["x" * HUGE])
            self.upstream = self.start_nginx("upstream")
            self.auth = self.start_nginx("auth")
        except BaseException:
            self.held.close()
            raise
        return self

    def __exit__(self, *_):
        self.held.close()

    @property
    def cookies(self):
        """What browsers with a session send to those that keep them in a table."""
        return [f"session={key}" for key, _ in self.sessions]

    def cores_for(self, workers):
        """Where things run if the gateway has so many workers."""
        cores = Cores.for_workers(workers) or Cores.shared_by_workers(workers)
        if cores is None:
            raise LeftOut(f"{workers} workers need {workers} cores, and this machine has fewer")
        return cores

    @contextmanager
    def rearranged(self, cores):
        """Puts the load elsewhere for a while. What runs stays where it is."""
        self.cores, usual = cores, self.cores
        try:
            yield
        finally:
            self.cores = usual

    def start_nginx(self, name):
        """One that serves the benches and is not measured itself."""
        port = free_port()
        common = self.render("nginx-common.conf", f"{name}.common", name=name)
        config = self.render(f"{name}.conf", f"{name}.conf", http=port, common=common)
        command = [programs.find("nginx"), "-c", config, "-e", self.folder / f"{name}.error.log"]
        process = self.held.enter_context(self.process(name, command, self.cores.upstream))
        process.wait_for_port(port)
        return port

    def process(self, name, command, cores):
        return Process(name, command, cores, self.folder / f"{name}.output")

    def render(self, template, target, /, **values):
        """Writes a configuration. What stands between two @ in the template is a value; one that is
        not known is an error."""
        known = {
            "folder": self.folder,
            "certificate": self.certificate,
            "certificate_key": self.certificate_key,
            "sessions_plain": self.sessions_plain,
            "sessions_nginx": self.sessions_nginx,
            **values,
        }
        text = (TEMPLATES / template).read_text()
        # A value may hold others.
        for _ in range(2):
            text = re.sub(r"@(\w+)@", lambda found: str(known[found.group(1)]), text)
        return self.write(target, [text])

    def write(self, name, parts):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(parts)
        return path

    def make_certificate(self):
        """A certificate on P-256 that signs itself."""
        certificate, key = self.folder / "certificate.pem", self.folder / "certificate.key"
        orders = (
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
            " -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        )
        command = [programs.find("openssl"), *orders.split(), "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True, env=programs.environment())
        key.chmod(0o644)
        return certificate, key


# Ports that may not have a listener yet.
GIVEN = set()


def free_port():
    """A port that nobody listens on, below those that the kernel gives to clients."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(low, 11_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in GIVEN:
            GIVEN.add(port)
            return port


def unprivileged():
    """A user and group for servers that will not work as root: us, if we are not root."""
    if os.getuid() != 0:
        return getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    return "nobody", "nogroup"
