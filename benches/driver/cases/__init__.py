"""What is compared with what, under which load."""

from .callgrind import Callgrind
from .everyone import AllGateways
from .idle import Idle
from .own import Access, Sessions, Workers
from .run import LARGE, Run
from .slow import Slow
from .websockets import WebSockets

__all__ = ["BULKY", "CALLGRIND", "CASES", "Run", "Workers"]

CASES = (
    AllGateways(
        "small",
        "Small page",
        "GET of a page of 37 bytes over HTTP/1.1, 64 connections that are kept; each visitor has some of"
        " them, and one of a thousand sessions. Answer times are those with one request under way at a time.",
    ),
    AllGateways(
        "large",
        "64 KiB",
        "The same with an answer of 64 KiB.",
        path=LARGE,
    ),
    AllGateways(
        "tls",
        "TLS, HTTP/1.1",
        "The small page over TLS 1.3, 64 connections that are kept.",
        tls=True,
    ),
    AllGateways(
        "h2",
        "TLS, HTTP/2",
        "The small page over HTTP/2: 16 connections with 4 requests under way on each.",
        timed="h2",
        tls=True,
        h2=True,
    ),
    AllGateways(
        "handshake",
        "New TLS connections",
        "A full TLS 1.3 handshake with a certificate on P-256, and one small page, for each connection. The"
        " client is the bottleneck, so that processor time is the figure here and not the rate.",
        unit="handshake",
        timed=None,
        tls=True,
        new_connections=True,
    ),
    WebSockets(),
    Idle(),
    Slow(),
    Access(),
    Workers(),
    Sessions(),
)

# Those in which much is copied.
BULKY = ("large",)

# Only where it is asked for: it takes valgrind, and compares with nginx alone.
CALLGRIND = Callgrind()
