"""The site behind the WebSocket case: `echo_server.py PORT`. It sends each message back."""

import re
import select
import socket
import sys

from frames import FROM_CLIENT, FROM_SERVER, accept_for


def main(port):
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    visitors = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                visitor = Visitor(listener.accept()[0])
                visitors[visitor.connection.fileno()] = visitor
                poll.register(visitor.connection, select.EPOLLIN)
            elif not visitors[number].serve():
                poll.unregister(number)
                visitors.pop(number).connection.close()


class Visitor:
    """A connection, first with a request, then with messages."""

    def __init__(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.upgraded = False
        self.unread = b""

    def serve(self):
        """Reads what there is and answers; false when the visitor has left."""
        try:
            piece = self.connection.recv(65536)
            if not piece:
                return False
            self.unread += piece
            return self.echo() if self.upgraded else self.upgrade()
        except OSError:
            return False

    def upgrade(self):
        if b"\r\n\r\n" not in self.unread:
            return True
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head)
        if key is None:
            self.connection.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
            return True
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + f"Sec-WebSocket-Accept: {accept_for(key.group(1).decode())}\r\n\r\n".encode()
        )
        self.upgraded = True
        return self.echo()

    def echo(self):
        whole = len(self.unread) // len(FROM_CLIENT)
        if whole:
            self.unread = self.unread[whole * len(FROM_CLIENT) :]
            self.connection.sendall(FROM_SERVER * whole)
        return True


if __name__ == "__main__":
    main(int(sys.argv[1]))
