"""Tickets for mod_auth_tkt, as its login pages make them."""

import hashlib
import time


def make(secret, user):
    """A ticket for `user` from now on, good from any address.

    See "Cookie Format" in mod_auth_tkt(3): the digest is taken twice, of address, time, secret, user,
    tokens and data, and of that with the secret; MD5 is what it does by default.
    """
    now = int(time.time())
    anywhere = bytes(4)
    told = anywhere + now.to_bytes(4, "big") + f"{secret}{user}\0\0".encode()
    inner = hashlib.md5(told).hexdigest()
    outer = hashlib.md5((inner + secret).encode()).hexdigest()
    return f"{outer}{now:08x}{user}!"
