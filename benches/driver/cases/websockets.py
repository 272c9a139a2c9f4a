"""WebSockets, with a server behind that sends back what it gets."""

import sys
from contextlib import ExitStack

from clients.frames import open_websocket

from ..faults import LeftOut, Unproven
from ..gateways import Wanted
from ..load import CLIENTS, CONNECTIONS, OwnClient
from ..rounds import Contender, new_outcome, take_turns
from ..stage import free_port
from .run import SMALL


class WebSockets:
    """Messages to and fro over connections that were upgraded."""

    key, title, emulated = "websocket", "WebSocket echo", True
    says = (
        "Messages of 64 bytes that a server behind sends back, one under way on each of"
        f" {CONNECTIONS} WebSockets."
    )

    def run(self, run):
        outcome = new_outcome(self.key, self.title, self.says, "message", "nginx", timed=False)
        with ExitStack() as held:
            port = free_port()
            command = [sys.executable, CLIENTS / "echo_server.py", port]
            echo = run.stage.process("echo", command, run.stage.cores.upstream)
            held.enter_context(echo).wait_for_port(port)
            client = OwnClient(run.stage, "websocket.py", path=SMALL, connections=CONNECTIONS)
            contenders = [
                Contender.of(gateway, client, SMALL)
                for gateway in run.ready(held, outcome, Wanted(port, upgrades=True), prove)
            ]
            return take_turns(outcome, run, contenders, "nginx", counted=False)


def prove(gateway):
    """With a session there is an upgrade, and without there is none."""
    status = upgrade(gateway, gateway.cookies[0])
    if " 101 " not in status:
        raise LeftOut(f"no upgrade, but {status}")
    if gateway.guards and " 101 " in upgrade(gateway, None):
        raise Unproven("upgrades visitors without a session")


def upgrade(gateway, cookie):
    """The status line of the answer."""
    try:
        status, connection = open_websocket(gateway.http, SMALL, cookie)
    except OSError as error:
        raise Unproven(f"breaks off an upgrade: {error}") from error
    connection.close()
    return status
