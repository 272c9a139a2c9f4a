"""A machine that counts instructions, where the one around it does not.

QEMU's `-icount shift=0` lets the clock of an emulated machine go on by one nanosecond with each
instruction, be it of a program or of the kernel. What a process there has used of processor time is then
the number of its instructions, and the same whatever else is going on outside. The machine has the files
of the one around it, which it cannot change, and Debian's kernel.

It has one processor, or several, which then take turns: each gets the same number of instructions done in the
same time by that machine's clock, and to the programs there that is as if they went on at the same time.
"""

import gzip
import json
import lzma
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from . import programs
from .faults import LeftOut, Unproven
from .machine import CLOCK_COUNTS_INSTRUCTIONS
from .process import settle

INIT = Path(__file__).resolve().parents[1] / "templates/emulated-init.sh"

# What the kernel needs for its files, in the order in which one needs the other; those that a kernel has
# built in are not there as files.
MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("netfs", "fscache", "9pnet", "9pnet_virtio", "9p", "overlay"),
)

# How a file of a module is read.
READERS = {".ko": open, ".ko.gz": gzip.open, ".ko.xz": lzma.open}

# The processor has all that can be emulated. Copying by a single instruction is counted as one for each piece
# that is copied: without ERMS these are of eight bytes, with it the kernel has single bytes copied.
BY_WORDS, BY_BYTES = "max,-erms", "max"

# How many of one there are in the other.
BYTES_IN_A_WORD = 8

# Memory in MiB.
MEMORY = 2048

# Where the firmware is that was unpacked and not installed.
FIRMWARE = ("usr/share/seabios", "usr/share/qemu")

# From this version on several processors get equal shares of the time: one used to go on until a timer ran out.
FAIR = (8, 1)

# What keeps each processor busy that has nothing better to do, or others would get its time.
KEEP_BUSY = """for core in $(seq 0 %d); do
    taskset --cpu-list $core chrt --idle 0 sh -c 'while :; do :; done' &
done
"""


class Emulator:
    """The programs and files that it takes."""

    def __init__(self):
        self.qemu = programs.find("qemu-system-x86_64")
        self.busybox = static_busybox()
        self.kernel, self.modules = kernel_with_modules()

    def version(self):
        """Of QEMU, as numbers."""
        asked = [self.qemu, "--version"]
        told = subprocess.run(asked, capture_output=True, text=True, env=programs.environment()).stdout
        found = re.search(r"version (\d+)\.(\d+)", told)
        return tuple(map(int, found.groups())) if found else (0, 0)

    def measure(self, options, processor=BY_WORDS, cores=1):
        """Runs the benches with these options in an emulated machine of so many cores, and returns what they
        found, as `results.json` has it."""
        if cores > 1 and self.version() < FAIR:
            raise LeftOut(f"several cores are emulated by QEMU {'.'.join(map(str, FAIR))} and newer")
        with tempfile.TemporaryDirectory(prefix="tollgate-emulated-") as folder:
            folder = Path(folder)
            order = folder / "order"
            order.mkdir()
            (order / "order.sh").write_text(self.order(options, cores))
            (folder / "initramfs").write_bytes(self.initramfs())
            ended = subprocess.run(
                self.command(folder, order, processor, cores),
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                env=programs.environment(),
                preexec_fn=settle,
            )
            found = order / "results.json"
            if ended.returncode != 0 or not found.exists():
                raise Unproven(f"the emulated machine found nothing; qemu ended with {ended.returncode}")
            return json.loads(found.read_text())

    def order(self, options, cores):
        """What is done there: the same program, from the same files."""
        command = shlex.join([sys.executable, str(programs.REPOSITORY / "benches/measure.py"), *options])
        results = shlex.quote(str(programs.REPOSITORY / "target/bench/results.json"))
        return (
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n"
            "export PATH HOME\n"
            f"{KEEP_BUSY % (cores - 1) if cores > 1 else ''}"
            f"rm -f {results}\n{command} >/dev/null\ncp {results} /order/\n"
        )

    def command(self, folder, order, processor, cores):
        def share(name, path, *more):
            described = ",".join([f"local,id={name},path={path},security_model=none", *more])
            return "-fsdev", described, "-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}"

        firmware = [programs.UNPACKED / folder for folder in FIRMWARE]
        return [
            *(self.qemu, "-machine", "pc", "-accel", "tcg,thread=single", "-icount", "shift=0"),
            *("-cpu", processor, "-smp", str(cores), "-m", str(MEMORY), "-nic", "none", "-no-reboot"),
            *(part for folder in firmware if folder.is_dir() for part in ("-L", folder)),
            *("-display", "none", "-vga", "none", "-serial", f"file:{folder / 'kernel.log'}", "-serial", "stdio"),
            *("-kernel", self.kernel, "-initrd", folder / "initramfs"),
            *("-append", f"console=ttyS0 quiet panic=-1 tsc=reliable {CLOCK_COUNTS_INSTRUCTIONS}"),
            *share("files", "/", "readonly=on", "multidevs=remap"),
            *share("order", order),
        ]

    def initramfs(self):
        """The few files that are there before all others can be had."""
        archive = Archive()
        for name in ("bin", "proc", "sys", "dev", "modules", "around", "changes", "root"):
            archive.folder(name)
        archive.program("init", INIT.read_bytes())
        archive.program("bin/busybox", Path(self.busybox).read_bytes())
        order = []
        for name, path in self.modules.items():
            with READERS["".join(path.suffixes)](path, "rb") as file:
                archive.program(f"modules/{name}.ko", file.read())
            order.append(f"{name}.ko\n")
        archive.program("modules/order", "".join(order).encode())
        return archive.ended()


def add_bare(by_words, by_bytes):
    """Notes what is left of the instructions of cases, as JSON has them, if copying counts for nothing, as it
    nearly does where it is a single instruction: bytes are counted one by one in `by_bytes`."""
    for case, same in zip(by_words, by_bytes):
        counts = {row["key"]: row["figures"]["instructions"] for row in same["rows"]}
        bare = {}
        for row in case["rows"]:
            words, byte_for_byte = row["figures"]["instructions"], counts.get(row["key"])
            if words and byte_for_byte:
                copying = (byte_for_byte["median"] - words["median"]) / (BYTES_IN_A_WORD - 1)
                bare[row["key"]] = words["median"] - copying
        for row in case["rows"]:
            count = bare.get(row["key"])
            row["figures"]["bare"] = count and single(count)
            row["figures"]["bare_ratio"] = count and single(count / bare["nginx"]) if "nginx" in bare else None


def single(value):
    return {"median": value, "low": value, "high": value}


def static_busybox():
    """One that needs no libraries: where it runs first there are none."""
    for path in (programs.UNPACKED / "bin/busybox", programs.UNPACKED / "usr/bin/busybox", Path("/bin/busybox")):
        # The path of the dynamic loader stands in programs that take one.
        if path.exists() and b"/ld-linux" not in path.read_bytes():
            return path
    raise LeftOut("there is no busybox without libraries: benches/run --install brings it")


def kernel_with_modules():
    """A kernel that can use files of the machine around it, and its modules by name."""
    for root in (programs.UNPACKED, Path("/")):
        for kernel in sorted(root.glob("boot/vmlinuz-*"), reverse=True):
            version = kernel.name.removeprefix("vmlinuz-")
            folders = [root / "lib/modules" / version, root / "usr/lib/modules" / version]
            found = [path for folder in folders for path in folder.rglob("*.ko*")]
            files = {path.name.partition(".")[0]: path for path in found}
            if "9p" in files:
                return kernel, {name: files[name] for name in MODULES if name in files}
    raise LeftOut("there is no kernel that knows 9p: benches/run --install brings it")


class Archive:
    """A cpio archive as the kernel unpacks it: Documentation/driver-api/early-userspace/buffer-format."""

    def __init__(self):
        self.parts = []

    def folder(self, name):
        self.add(name, stat.S_IFDIR | 0o755, b"")

    def program(self, name, content):
        self.add(name, stat.S_IFREG | 0o755, content)

    def add(self, name, mode, content):
        named = name.encode() + b"\0"
        inode, links = len(self.parts) + 1, 1
        numbers = (inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(named), 0)
        header = b"070701" + b"".join(b"%08x" % number for number in numbers)
        self.parts.append(padded(header + named) + padded(content))

    def ended(self):
        self.add("TRAILER!!!", 0, b"")
        return b"".join(self.parts)


def padded(content):
    return content + bytes(-len(content) % 4)
