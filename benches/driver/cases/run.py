"""What the cases of a run have in common."""

from dataclasses import dataclass

from ..faults import LeftOut, Unproven
from ..rounds import Pace

# Pages of the site behind. What is under /open/ takes no session.
SMALL, LARGE, OPEN = "/closed/small", "/closed/large", "/open/small"

# What tollgate answers itself.
WHO_AM_I = "/.tollgate/session"


@dataclass
class Run:
    """What all cases of a run have in common."""

    stage: object
    # Builds of tollgate, the one in question first.
    tollgates: list
    others: list
    pace: Pace
    # Live sessions in the large table.
    many: int
    say: object
    # Where what is found is kept.
    results: object

    def ready(self, held, outcome, wanted, prove):
        """The gateways that could be started and about which `prove` has nothing to say; of the others
        is noted why they have no figures."""
        for kind in (*self.tollgates, *self.others):
            self.say(f"  starting {kind.title}")
            try:
                gateway = kind.start(self.stage, held, wanted)
                prove(gateway)
            except LeftOut as why:
                outcome.left_out.append((kind.title, str(why)))
            except Unproven as why:
                outcome.faults.append((kind.title, str(why)))
            else:
                yield gateway
