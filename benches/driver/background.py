"""Clients of our own that go on while something else is measured."""

import json
import subprocess
import sys

from .faults import Unproven
from .load import CLIENTS
from .process import settle


class Background:
    """One that does what it is told line by line. Ends with the `with` block."""

    def __init__(self, stage, script, **order):
        path = stage.write("background.json", [json.dumps(order)])
        self.script = script
        self.client = subprocess.Popen(
            [sys.executable, CLIENTS / script, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: settle(stage.cores.load),
        )

    def __enter__(self):
        return self

    def bring(self, count):
        """Returns when it has `count` connections."""
        try:
            self.client.stdin.write(f"{count}\n")
            self.client.stdin.flush()
        except BrokenPipeError:
            pass
        if self.client.stdout.readline().strip() != str(count):
            raise Unproven(f"{self.script}: {self.client.stderr.read().strip()[-300:]}")

    def __exit__(self, *_):
        self.client.kill()
        self.client.wait()
        for pipe in (self.client.stdin, self.client.stdout, self.client.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
