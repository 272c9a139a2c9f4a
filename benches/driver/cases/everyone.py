"""The cases that all gateways take part in."""

from contextlib import ExitStack
from dataclasses import dataclass

from .. import proof
from ..gateways import Wanted
from ..load import H2load, OwnClient, Wrk
from ..rounds import Contender, new_outcome, take_turns
from .run import SMALL


@dataclass(frozen=True)
class AllGateways:
    """A load on all gateways, compared with nginx that lets everybody in."""

    key: str
    title: str
    says: str
    path: str = SMALL
    unit: str = "request"
    # By which answers are timed; None: they are not.
    timed: str | None = "http/1.1"
    tls: bool = False
    h2: bool = False
    new_connections: bool = False
    # Whether it also goes in a machine that only counts instructions.
    emulated: bool = True

    def run(self, run):
        timed = self.timed is not None
        outcome = new_outcome(self.key, self.title, self.says, self.unit, "nginx", timed)

        def prove(gateway):
            proof.prove(gateway, run.stage, self.path, self.tls)
            if self.tls:
                agreed = proof.handshake(gateway, "h2" if self.h2 else "http/1.1")
                outcome.notes.append(f"{gateway.title}: {agreed}")

        with ExitStack() as held:
            wanted = Wanted(run.stage.upstream, tls=self.tls)
            contenders = [
                Contender.of(gateway, self.client(run.stage), self.path)
                for gateway in run.ready(held, outcome, wanted, prove)
            ]
            return take_turns(outcome, run, contenders, "nginx", timed=self.timed, tls=self.tls)

    def client(self, stage):
        if self.new_connections:
            return OwnClient(stage, "handshakes.py", path=self.path)
        return H2load(stage, self.path) if self.h2 else Wrk(stage, self.path, self.tls)
