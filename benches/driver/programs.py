"""Finds the programs that are driven, and says which versions they are."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from .faults import LeftOut

REPOSITORY = Path(__file__).resolve().parents[2]
UNPACKED = REPOSITORY / "target/bench/peers"

# How a program is asked for its version, and where that stands in the answer.
VERSION = {
    "nginx": (["-v"], r"nginx/([\w.]+)"),
    "haproxy": (["-v"], r"version ([\w.]+)"),
    "apache2": (["-v"], r"Apache/([\w.]+)"),
    "caddy": (["version"], r"v([\w.]+)"),
    "wrk": (["-v"], r"wrk \S*?([\d.]+)"),
    "h2load": (["--version"], r"nghttp2/([\w.]+)"),
    "perf": (["--version"], r"version ([\w.]+)"),
    "valgrind": (["--version"], r"valgrind-([\w.]+)"),
    "openssl": (["version"], r"OpenSSL ([\w.]+)"),
}


def find(name):
    """The path of a program: one that was unpacked for the benches, or the system's."""
    unpacked = [UNPACKED / "usr/sbin", UNPACKED / "usr/bin", UNPACKED / "caddy/bin"]
    system = os.environ.get("PATH", "").split(":") + ["/usr/sbin", "/sbin"]
    found = shutil.which(name, path=":".join([*map(str, unpacked), *system]))
    if found is None:
        raise LeftOut(f"there is no {name}: benches/run --install brings it")
    return found


def find_file(*candidates):
    """A file of a package, given as paths below the root; the first that is there."""
    for candidate in candidates:
        for root in (UNPACKED, Path("/")):
            if (root / candidate).exists():
                return root / candidate
    raise LeftOut(f"there is no {candidates[0]}: benches/run --install brings it")


def environment():
    """For programs that were unpacked, and for those of the system that load unpacked modules."""
    libraries = [*UNPACKED.glob("usr/lib/*-linux-gnu*"), *UNPACKED.glob("lib/*-linux-gnu*")]
    valgrind = UNPACKED / "usr/libexec/valgrind"
    changed = dict(os.environ, LC_ALL="C")
    if libraries:
        changed["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
    if valgrind.exists():
        changed["VALGRIND_LIB"] = str(valgrind)
    return changed


def version(name):
    """What a program says it is, or None if it is not there or does not say."""
    arguments, pattern = VERSION[name]
    try:
        told = subprocess.run(
            [find(name), *arguments], capture_output=True, text=True, env=environment(), timeout=30
        )
    except (LeftOut, OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(pattern, told.stdout + told.stderr)
    return found.group(1) if found else None
