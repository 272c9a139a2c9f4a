"""What only tollgate needs: its configuration checked, and visitors signed in through its own API, as
quickly as a single connection can."""

import json
import re
import secrets
import socket
import ssl
import subprocess

from .faults import LeftOut, Unproven

# The API key that signs visitors in, of this run.
KEY = secrets.token_urlsafe(32)

CERTIFICATE = '[[server.certificate]]\ncert = "@certificate@"\nkey = "@certificate_key@"'

# Requests that are sent before the first answer is waited for.
BATCH = 100


def check(binary, config):
    """Asks `tollgate check` whether this build knows all that the configuration says."""
    told = subprocess.run([binary, "check", "--config", config], capture_output=True, text=True, timeout=60)
    if told.returncode == 0:
        return
    faults = (told.stdout + told.stderr).strip()
    missing = [line for line in faults.splitlines() if "not available in this version" in line]
    if missing:
        key = re.search(r":\d+: ([\w.]+):", missing[0])
        raise LeftOut(f"{key.group(1) if key else missing[0]} is not available in this version of tollgate")
    raise Unproven(f"tollgate refuses its configuration: {faults}")


def version(binary):
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=60)
    return told.stdout.strip().removeprefix("tollgate ")


class Door:
    """Where visitors get in: tokens on the control listener, sessions on the public one."""

    def __init__(self, control, public, tls):
        self.control = control
        self.public = public
        self.tls = tls

    def issue(self, count):
        """Tokens for `count` visitors, each another person."""

        def order(number):
            person = {"email": f"user{number}@example.com", "full_name": f"User Number {number}"}
            body = json.dumps(person | {"expires_in": 3600})
            return (
                f"POST /v1/sso_tokens HTTP/1.1\r\nHost: 127.0.0.1:{self.control}\r\n"
                f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            )

        with socket.create_connection(("127.0.0.1", self.control), timeout=60) as connection:
            found = pipelined(connection, map(order, range(count)), rb'"token":"([\w-]{43})"', b"201")
            return [token.decode() for token in found]

    def redeem(self, tokens):
        """The cookies that browsers get for tokens."""

        def visit(token):
            return (
                f"GET /.tollgate/redeem?sso={token} HTTP/1.1\r\nHost: 127.0.0.1:{self.public}\r\n"
                "Accept: text/html\r\n\r\n"
            )

        with socket.create_connection(("127.0.0.1", self.public), timeout=60) as plain:
            with trusting().wrap_socket(plain) if self.tls else plain as connection:
                cookie = rb"(?i)set-cookie: ((?:__Host-)?tollgate)=([\w-]{43});"
                found = pipelined(connection, map(visit, tokens), cookie, b"302")
        return [f"{name.decode()}={value.decode()}" for name, value in found]


def pipelined(connection, requests, wanted, status):
    """Sends requests one behind the other, and returns what each answer has of `wanted`."""
    found, batch = [], []
    for request in requests:
        batch.append(request)
        if len(batch) == BATCH:
            found += exchange(connection, batch, wanted, status)
            batch = []
    return found + (exchange(connection, batch, wanted, status) if batch else [])


def exchange(connection, batch, wanted, status):
    connection.sendall("".join(batch).encode())
    answers = b""
    while len(re.findall(wanted, answers)) < len(batch):
        piece = connection.recv(1 << 18)
        answers += piece
        others = [told for told in re.findall(rb"HTTP/1\.1 (\d+)", answers) if told != status]
        if others or not piece:
            raise Unproven(f"tollgate does not sign visitors in: {answers[-500:].decode(errors='replace')}")
    return re.findall(wanted, answers)


def trusting():
    """TLS for clients that take any certificate: ours signed itself a moment ago."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
