# LOGIN_PAGE_KEY=… python3 login.py
import json, os, urllib.parse, urllib.request, wsgiref.simple_server

FORM = b"""<!doctype html><title>Sign in</title><form method="post">
E-mail <input name="email" type="email" required> Name <input name="name" required> <button>Sign in</button></form>"""
KEY, CONTROL = os.environ["LOGIN_PAGE_KEY"], os.environ.get("TOLLGATE_CONTROL", "http://127.0.0.1:8081")

def login_page(request, start):
    if request["REQUEST_METHOD"] != "POST":
        start("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [FORM]
    asked = dict(urllib.parse.parse_qsl(request["QUERY_STRING"]))
    form = dict(urllib.parse.parse_qsl(request["wsgi.input"].read(int(request["CONTENT_LENGTH"] or 0)).decode()))
    # HERE find out who it is, by a password for instance: this page believes whatever is typed.
    order = {"email": form.get("email"), "full_name": form.get("name"),
             "return_url": asked.get("return_url"), "state": asked.get("state")}
    headers = {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"}
    call = urllib.request.Request(CONTROL + "/v1/sso_tokens", json.dumps(order).encode(), headers)
    start("303 See Other", [("Location", json.load(urllib.request.urlopen(call))["redeem_url"])])
    return []

wsgiref.simple_server.make_server("127.0.0.1", int(os.environ.get("PORT", 9001)), login_page).serve_forever()
