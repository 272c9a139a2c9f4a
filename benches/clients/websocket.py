"""Messages to and fro over WebSockets, one under way on each: `websocket.py ORDER.json`, prints JSON.

A request is a message that came back.
"""

import json
import select
import sys
import time

from frames import FROM_CLIENT, FROM_SERVER, open_websocket


def main(order):
    connections = {}
    poll = select.epoll()
    for number in range(order["connections"]):
        cookie = order["cookies"][number % len(order["cookies"])]
        status, connection = open_websocket(order["http"], order["path"], cookie)
        if " 101 " not in status:
            return {"fault": f"no upgrade: {status}"}
        connections[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)
    for connection in connections.values():
        connection.sendall(FROM_CLIENT)
    echoes = 0
    partial = dict.fromkeys(connections, b"")
    begin = time.monotonic()
    end = begin + order["seconds"]
    while time.monotonic() < end:
        for number, _ in poll.poll(timeout=1):
            connection = connections[number]
            piece = connection.recv(4096)
            if not piece:
                return {"fault": "a WebSocket was closed"}
            partial[number] += piece
            if len(partial[number]) < len(FROM_SERVER):
                continue
            if partial[number] != FROM_SERVER:
                return {"fault": f"another message came back: {partial[number][:80]!r}"}
            partial[number] = b""
            echoes += 1
            connection.sendall(FROM_CLIENT)
    return {"requests": echoes, "seconds": time.monotonic() - begin, "fault": None}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps(main(json.load(file))))
