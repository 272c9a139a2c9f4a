"""Verifies an assertion with PyJWT, as an application would, and tries what has to be refused.

Arguments: where the keys are, who the issuer has to be, and the assertion.
"""
import json
import sys
import time
from unittest import mock

import jwt

keys_url, issuer, assertion = sys.argv[1:]
keys = jwt.PyJWKClient(keys_url)
required = ["exp", "iat", "iss", "aud", "sub"]


def verify(assertion, audience="intranet", issuer=issuer):
    key = keys.get_signing_key_from_jwt(assertion)
    return jwt.decode(
        assertion, key, algorithms=["ES256"], audience=audience, issuer=issuer, options={"require": required}
    )


def refusal(attempt):
    try:
        attempt()
    except jwt.InvalidTokenError as error:
        return type(error).__name__
    return None


def late():
    six_minutes_on = time.time() + 360
    with mock.patch("jwt.api_jwt.datetime") as clock:
        clock.now.return_value.timestamp.return_value = six_minutes_on
        return verify(assertion)


head, claims, signature = assertion.split(".")
other = jwt.encode({**jwt.decode(assertion, options={"verify_signature": False}), "sub": "root"}, "k" * 32)
tampered = ".".join([head, other.split(".")[1], signature])
print(json.dumps({
    "claims": verify(assertion),
    "refusals": [
        refusal(lambda: verify(assertion, audience="wiki")),
        refusal(lambda: verify(assertion, issuer="https://else.example")),
        refusal(lambda: verify(tampered)),
        refusal(late),
    ],
}))
