"""Visitors who take their time: `slow.py ORDER.json`. Reads how many there are to be, prints the number
when they are there, and goes on until its input ends.

Each moves one byte a second, in its request head, in its request body, or, for readers, a kilobyte of
a long answer. Whoever is turned away comes again.
"""

import json
import select
import socket
import struct
import sys
import time


def main(order):
    slow = [Slow(order, number) for number in range(int(sys.stdin.readline()))]
    for one in slow:
        one.come()
    print(len(slow), flush=True)
    while True:
        begin = time.monotonic()
        for number, one in enumerate(slow):
            # Spread over the second, as a thousand strangers would be.
            wait = begin + number / len(slow) - time.monotonic()
            if select.select([sys.stdin], [], [], max(wait, 0))[0]:
                return
            one.move()


class Slow:
    """One of them."""

    def __init__(self, order, number):
        self.kind = order["kind"]
        self.port = order["http"]
        cookie = order["cookies"][number % len(order["cookies"])]
        method = "POST" if self.kind == "body" else "GET"
        self.head = f"{method} {order['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n"
        self.connection = None

    def come(self):
        connection = socket.socket()
        # Whoever reads slowly must not have it all in the kernel's buffers.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.settimeout(10)
        connection.connect(("127.0.0.1", self.port))
        match self.kind:
            case "head":
                connection.sendall(f"{self.head}X-Slow: ".encode())
            case "body":
                connection.sendall(f"{self.head}Content-Length: 1000000\r\n\r\n".encode())
            case "reader":
                connection.sendall(f"{self.head}\r\n".encode())
        connection.setblocking(False)
        self.connection = connection

    def move(self):
        try:
            if self.kind == "reader":
                if not self.connection.recv(1024):
                    raise ConnectionError("closed")
            else:
                self.connection.send(b"x")
                # Told to go?
                if not self.connection.recv(1024):
                    raise ConnectionError("closed")
        except BlockingIOError:
            pass
        except OSError:
            self.connection.close()
            try:
                self.come()
            except OSError:
                # Not even that; the next second will tell.
                pass


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        main(json.load(file))
