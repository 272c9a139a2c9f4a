"""Connections that rest after one request: `idle.py ORDER.json`.

Prints how many are open as soon as they are, and keeps them until its input ends. One more line of
input, with a number, opens more.
"""

import json
import socket
import struct
import sys


def main(order):
    connections = []
    for line in sys.stdin:
        while len(connections) < int(line):
            connections.append(visit(order, order["cookies"][len(connections) % len(order["cookies"])]))
        print(len(connections), flush=True)


def visit(order, cookie):
    """A connection on which a request was answered."""
    connection = socket.create_connection(("127.0.0.1", order["http"]), timeout=30)
    # Leaves by a reset: tens of thousands of ports would wait for their last packets otherwise.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request = f"GET {order['path']} HTTP/1.1\r\nHost: 127.0.0.1:{order['http']}\r\nCookie: {cookie}\r\n\r\n"
    connection.sendall(request.encode())
    answer = b""
    while not answer.endswith(order["page"].encode()):
        piece = connection.recv(65536)
        if not piece:
            sys.exit(f"closed after {answer[:200]!r}")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"answered {answer[:200]!r}")
    return connection


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        main(json.load(file))
