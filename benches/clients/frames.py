"""The little of RFC 6455 that client and server of the WebSocket case have in common.

All messages have one size, and the client masks with zeros, so that neither side spends its time on
bytes: what is measured stands between them, and looks into no frame.
"""

import base64
import hashlib
import socket

SIZE = 64

# FIN and the opcode of a binary message; the length, from clients with the bit for a mask.
FROM_CLIENT = bytes([0x82, 0x80 | SIZE]) + bytes(4) + b"m" * SIZE
FROM_SERVER = bytes([0x82, SIZE]) + b"m" * SIZE

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def accept_for(key):
    """What a server answers to a client's key: RFC 6455, 4.2.2."""
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    return base64.b64encode(digest).decode()


def open_websocket(port, path, cookie):
    """Status line and connection of an upgrade."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    cookie = f"Cookie: {cookie}\r\n" if cookie else ""
    connection.sendall(
        (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n{cookie}"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        ).encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            break
        head += piece
    return head.split(b"\r\n", 1)[0].decode(errors="replace"), connection
