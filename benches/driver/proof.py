"""Before something is measured it has to show that it does its job: that it asks for the session, that
the answer is the upstream's, and that it keeps its connections to the upstream."""

import http.client
import random
import socket
import ssl

from .faults import LeftOut, Unproven
from .tollgate import trusting

# Requests after one another that have to get along with that many connections to the upstream.
REQUESTS_IN_A_ROW, CONNECTIONS_AT_MOST = 20, 2


def prove(gateway, stage, path, tls=False):
    """Raises `Unproven` if the figures of this gateway would not mean what they say."""
    visitor = Visitor(gateway, tls)
    if gateway.guards and path.startswith("/closed/"):
        strangers = {"without a session": None, "with a made-up session": forged(gateway.cookies[0])}
        for who, cookie in strangers.items():
            status, _ = visitor.get(path, cookie)
            if status not in (302, 303, 307, 401, 403):
                raise Unproven(f"{gateway.title} answers a visitor {who} with {status}")
    expected = page(stage.upstream, path)
    some = random.sample(gateway.cookies, k=min(8, len(gateway.cookies)))
    for cookie in [gateway.cookies[0], *some, gateway.cookies[-1]]:
        status, body = visitor.get(path, cookie)
        if status != 200 or body != expected:
            raise Unproven(f"{gateway.title} answers a visitor with a session with {status}, {body[:200]!r}")
    prove_upstream(gateway, visitor)
    visitor.leave()


def prove_upstream(gateway, visitor):
    """The upstream itself tells on which connection it was asked, and whom it was told of."""
    used = set()
    for number in range(REQUESTS_IN_A_ROW):
        if number % 5 == 0:
            # Another visitor is no reason for another connection behind.
            visitor.leave()
        status, body = visitor.get("/closed/proof", gateway.cookies[0])
        told = body.decode(errors="replace").split()
        if status != 200 or len(told) < 2:
            raise Unproven(f"{gateway.title} does not forward: {status}, {body[:200]!r}")
        used.add(told[0])
        if gateway.guards and (len(told) < 3 or "@" not in told[2]):
            raise Unproven(f"{gateway.title} does not tell the upstream who is there: {body!r}")
    if len(used) > CONNECTIONS_AT_MOST:
        raise Unproven(f"{gateway.title} took {len(used)} connections for {REQUESTS_IN_A_ROW} requests")


def forged(cookie):
    """The same but for its value, of the same length."""
    name, _, value = cookie.partition("=")
    return f"{name}={value[::-1]}"


class Visitor:
    """A browser with one connection at a time."""

    def __init__(self, gateway, tls):
        self.gateway = gateway
        self.tls = tls
        self.connection = None

    def get(self, path, cookie):
        """Status and body; what is redirected is not followed."""
        if self.connection is None:
            if self.tls:
                port, context = self.gateway.https, trusting()
                self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
            else:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http, timeout=10)
        headers = {"Accept": "text/html"} | ({"Cookie": cookie} if cookie else {})
        try:
            self.connection.request("GET", path, headers=headers)
            answer = self.connection.getresponse()
            status, body = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unproven(f"{self.gateway.title} does not answer: {error!r}") from error
        if status == 200 and self.connection.sock is None:
            raise Unproven(f"{self.gateway.title} does not keep the visitor's connection")
        return status, body

    def leave(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def handshake(gateway, protocol):
    """What a TLS client that speaks `protocol` agrees on with a gateway, in words. Raises `LeftOut` if
    it does not speak it."""
    context = trusting()
    context.set_alpn_protocols([protocol])
    try:
        with socket.create_connection(("127.0.0.1", gateway.https), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                agreed = connection.selected_alpn_protocol()
                if agreed != protocol and protocol == "h2":
                    raise LeftOut(f"{gateway.title} does not speak HTTP/2")
                return f"{connection.version()} {connection.cipher()[0]}"
    except ssl.SSLError as error:
        if protocol == "h2" and "NO_APPLICATION_PROTOCOL" in str(error):
            raise LeftOut(f"{gateway.title} does not speak HTTP/2") from error
        raise Unproven(f"{gateway.title} does no TLS: {error}") from error


def answered(port):
    """How many requests one of our own servers has answered so far, from its own count."""
    return int(page(port, "/count").decode().splitlines()[2].split()[2])


def page(port, path):
    """What one of our own servers answers itself."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
