"""Calls get-token as clients do that sign with requests-oauthlib, and prints what comes back.

    python3 oauth1.py BASE_URL CONSUMER_KEY CONSUMER_SECRET ACCESS_TOKEN ACCESS_SECRET

Each case is one line of JSON: its name, whether the API ought to believe the signature, and the
response. The judging is left to whoever reads the lines.

oauthlib refuses to put a signature into the body of a GET, so there is no such case.
"""

import json
import sys
from urllib.parse import urlencode

import requests
from oauthlib.oauth1 import SIGNATURE_TYPE_AUTH_HEADER, SIGNATURE_TYPE_BODY, SIGNATURE_TYPE_QUERY
from requests_oauthlib import OAuth1

PLACES = {
    "header": SIGNATURE_TYPE_AUTH_HEADER,
    "body": SIGNATURE_TYPE_BODY,
    "query": SIGNATURE_TYPE_QUERY,
}

# Whatever clients and servers escape in different ways.
PARAMETERS = {
    "email": "jörg+a~b@example.com",
    "full_name": "Jörg O'Neil & Söhne ~ 100% +1",
    "return_url": "/über uns?a=b&c=d+e%20f~#g",
    "format": "json",
    "raw": "",
}


def cases():
    """Name, method, where the signature is, query, form, and whether it ought to be believed."""
    yield "GET, signed in the header", "GET", "header", PARAMETERS, None, True
    yield "GET, signed in the query", "GET", "query", PARAMETERS, None, True
    yield "GET without parameters, signed in the header", "GET", "header", None, None, True
    yield "POST, signed in the header", "POST", "header", None, PARAMETERS, True
    yield "POST, signed in the body", "POST", "body", None, PARAMETERS, True
    yield "POST without parameters, signed in the header", "POST", "header", None, None, True
    # The query of a POST is not read, though this client signs it.
    yield "POST with a query, signed in the header", "POST", "header", {"x": "y z~"}, PARAMETERS, True
    yield "POST, signed in the query", "POST", "query", None, PARAMETERS, False


def call(url, method, auth, query, form):
    # Spaces go out as `+` in forms and as `%20` in queries: a server meets both.
    if query:
        url += "?" + urlencode(query).replace("+", "%20")
    session = requests.Session()
    session.trust_env = False
    response = session.request(method, url, data=form, auth=auth, timeout=10, allow_redirects=False)
    return {
        "status": response.status_code,
        "content_type": response.headers.get("Content-Type"),
        "body": response.content.decode("utf-8"),
    }


def main(base_url, consumer_key, consumer_secret, access_token, access_secret):
    url = base_url.rstrip("/") + "/api/session/get-token"

    def run(name, method, place, query, form, believed, secret=consumer_secret):
        auth = OAuth1(
            consumer_key,
            client_secret=secret,
            resource_owner_key=access_token,
            resource_owner_secret=access_secret,
            signature_type=PLACES[place],
        )
        case = {"case": name, "believed": believed, **call(url, method, auth, query, form)}
        print(json.dumps(case, ensure_ascii=False), flush=True)

    for case in cases():
        run(*case)
    wrong = consumer_secret + "x"
    run("GET, signed with another secret", "GET", "header", PARAMETERS, None, False, wrong)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
