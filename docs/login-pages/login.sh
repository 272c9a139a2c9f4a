#!/bin/sh
# LOGIN_PAGE_KEY=… ./login.sh EMAIL FIRST_NAME LAST_NAME [RETURN_URL [STATE]]
# Prints the URL that signs the visitor in. It works once, and for five minutes.
set -eu
[ $# -ge 3 ] || { sed -n 's/^# LOGIN/LOGIN/p' "$0" >&2; exit 64; }
: "${LOGIN_PAGE_KEY:?}"
quote() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }
# Without the argument there is no state; an empty one is a mistake, of which the gateway tells.
state=null; [ $# -lt 5 ] || state=$(quote "$5")
order=$(printf '{"email":%s,"first_name":%s,"last_name":%s,"return_url":%s,"state":%s}' \
    "$(quote "$1")" "$(quote "$2")" "$(quote "$3")" "$(quote "${4-}")" "$state")
# The key goes through a pipe: what stands on a command line can be read by everybody on the machine.
answer=$(printf 'Authorization: Bearer %s' "$LOGIN_PAGE_KEY" |
    curl --silent --show-error --fail-with-body --header @- --header 'Content-Type: application/json' \
        --data "$order" "${TOLLGATE_CONTROL:-http://127.0.0.1:8081}/v1/sso_tokens") ||
    { printf '%s\n' "$answer" >&2; exit 1; }
printf '%s\n' "$answer" | sed 's/.*"redeem_url":"\([^"]*\)".*/\1/'
