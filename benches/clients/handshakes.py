"""New TLS connections, one request on each: `handshakes.py ORDER.json`, prints JSON.

wrk and h2load open their connections once; wrk, when it is made to open new ones, resumes sessions.
Here each handshake is a full one, and one that is not is a fault.
"""

import json
import multiprocessing
import socket
import ssl
import sys
import time


def main(order):
    with multiprocessing.Pool(order["processes"]) as pool:
        told = pool.map(visit, [order] * order["processes"])
    faults = [one["fault"] for one in told if one["fault"]]
    print(
        json.dumps(
            {
                "requests": sum(one["requests"] for one in told),
                "seconds": max(one["seconds"] for one in told),
                "fault": faults[0] if faults else None,
            }
        )
    )


def visit(order):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = (
        f"GET {order['path']} HTTP/1.1\r\nHost: 127.0.0.1:{order['https']}\r\n"
        f"Cookie: {order['cookies'][0]}\r\nConnection: close\r\n\r\n"
    ).encode()
    requests = 0
    begin = time.monotonic()
    while time.monotonic() < begin + order["seconds"]:
        with socket.create_connection(("127.0.0.1", order["https"]), timeout=10) as plain:
            with context.wrap_socket(plain) as connection:
                connection.sendall(request)
                answer = connection.recv(4096)
                fault = None
                if connection.session_reused:
                    fault = "a handshake was not a full one"
                elif not answer.startswith(b"HTTP/1.1 200 "):
                    fault = f"answered {answer[:100]!r}"
                if fault:
                    return {"requests": requests, "seconds": 1, "fault": fault}
        requests += 1
    return {"requests": requests, "seconds": time.monotonic() - begin, "fault": None}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        main(json.load(file))
