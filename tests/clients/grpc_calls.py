"""gRPC by its own library, on both sides of a gateway: `serve` is the upstream and prints its port,
`call HOST:PORT` makes every kind of call there is and prints a line for each that went as it should.

The methods are generic ones that pass bytes, so that no code has to be generated.
"""

import queue
import sys
import threading
import time
from concurrent import futures

import grpc

SERVICE = "stories.Echo"
LARGE = 3 * 1024 * 1024


# The upstream.

cancelled = threading.Event()


def unary_unary(request, context):
    sent = dict(context.invocation_metadata())
    context.set_trailing_metadata((("x-seen", sent.get("x-asked", "")), ("x-bytes-bin", b"\x00\xff")))
    context.send_initial_metadata((("x-early", "yes"),))
    return request[::-1]


def unary_stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def stream_unary(requests, context):
    return b",".join(requests)


def stream_stream(requests, context):
    # Speaks first, and then answers each word before it hears the next.
    context.send_initial_metadata(())
    for request in requests:
        yield b"re: " + request


def fails(request, context):
    context.set_trailing_metadata((("x-why", "because"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no: für niemanden")


def fails_late(request, context):
    yield b"one"
    context.abort(grpc.StatusCode.DATA_LOSS, "lost")


def waits(request, context):
    context.add_callback(cancelled.set)
    yield b"waiting"
    while context.is_active():
        time.sleep(0.01)


def was_cancelled(request, context):
    return b"yes" if cancelled.wait(30) else b"no"


def serve():
    kinds = {
        "UnaryUnary": grpc.unary_unary_rpc_method_handler(unary_unary),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(unary_stream),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(stream_unary),
        "StreamStream": grpc.stream_stream_rpc_method_handler(stream_stream),
        "Fails": grpc.unary_unary_rpc_method_handler(fails),
        "FailsLate": grpc.unary_stream_rpc_method_handler(fails_late),
        "Waits": grpc.unary_stream_rpc_method_handler(waits),
        "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
    }
    options = (("grpc.max_receive_message_length", 2 * LARGE),)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, kinds),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    # Until whoever started this has left.
    sys.stdin.read()
    server.stop(None)


# The client.


def path(method):
    return f"/{SERVICE}/{method}"


def each_kind(channel):
    reply, call = channel.unary_unary(path("UnaryUnary")).with_call(
        b"hello", timeout=30, metadata=(("x-asked", "this"), ("x-forwarded-user", "forged"))
    )
    assert reply == b"olleh", reply
    assert ("x-early", "yes") in call.initial_metadata(), call.initial_metadata()
    trailers = dict(call.trailing_metadata())
    assert trailers["x-seen"] == "this" and trailers["x-bytes-bin"] == b"\x00\xff", trailers
    yield "unary-unary"

    replies = list(channel.unary_stream(path("UnaryStream"))(b"100", timeout=30))
    assert replies == [b"%d" % number for number in range(100)], replies
    assert list(channel.unary_stream(path("UnaryStream"))(b"0", timeout=30)) == []
    yield "unary-stream"

    reply = channel.stream_unary(path("StreamUnary"))(iter([b"a", b"b", b"c"]), timeout=30)
    assert reply == b"a,b,c", reply
    assert channel.stream_unary(path("StreamUnary"))(iter([]), timeout=30) == b""
    yield "stream-unary"

    words = queue.Queue()
    call = channel.stream_stream(path("StreamStream"))(iter(words.get, None), timeout=30)
    call.initial_metadata()  # comes before a word is said
    for word in (b"one", b"two", b"three"):
        words.put(word)
        assert next(call) == b"re: " + word
    words.put(None)
    assert list(call) == []
    assert call.code() == grpc.StatusCode.OK
    yield "stream-stream"


def at_once(channel):
    call = channel.unary_unary(path("UnaryUnary"))
    under_way = [call.future(b"%d" % number, timeout=30) for number in range(200)]
    for number, reply in enumerate(under_way):
        assert reply.result() == (b"%d" % number)[::-1]
    yield "many at once"


def large(channel):
    message = bytes(range(256)) * (LARGE // 256)
    assert channel.unary_unary(path("UnaryUnary"))(message, timeout=30) == message[::-1]
    parts = [bytes([number]) * 65536 for number in range(32)]
    assert channel.stream_unary(path("StreamUnary"))(iter(parts), timeout=30) == b",".join(parts)
    yield "large messages"


def errors(channel):
    for method, arity, code, words in (
        ("Fails", channel.unary_unary, grpc.StatusCode.FAILED_PRECONDITION, "no: für niemanden"),
        ("Nowhere", channel.unary_unary, grpc.StatusCode.UNIMPLEMENTED, "Method not found!"),
        ("FailsLate", channel.unary_stream, grpc.StatusCode.DATA_LOSS, "lost"),
    ):
        got = []
        try:
            replies = arity(path(method))(b"", timeout=30)
            got = [reply for reply in replies] if method == "FailsLate" else replies
            raise AssertionError(f"{method} succeeds: {got}")
        except grpc.RpcError as error:
            assert (error.code(), error.details()) == (code, words), error
            if method == "Fails":
                assert ("x-why", "because") in error.trailing_metadata(), error.trailing_metadata()
        yield f"error {code.name}"


def leaving(channel):
    call = channel.unary_stream(path("Waits"))(b"")
    assert next(call) == b"waiting"
    call.cancel()
    assert channel.unary_unary(path("WasCancelled"))(b"", timeout=60) == b"yes"
    yield "cancelled"
    try:
        list(channel.unary_stream(path("Waits"))(b"", timeout=0.3))
        raise AssertionError("nobody is late")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    yield "deadline"


def closed(channel):
    try:
        # Whoever does not say that it is no browser is sent to the login page.
        program = (("accept", "application/grpc"),)
        channel.unary_unary("/closed" + path("UnaryUnary"))(b"", timeout=30, metadata=program)
        raise AssertionError("a closed path is open")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
    yield "closed"


def call(address):
    options = (
        ("grpc.default_authority", "site.test"),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", 2 * LARGE),
    )
    with grpc.insecure_channel(address, options=options) as channel:
        for story in (each_kind, at_once, large, errors, leaving, closed):
            for line in story(channel):
                print(line, flush=True)


if __name__ == "__main__":
    call(sys.argv[2]) if sys.argv[1] == "call" else serve()
