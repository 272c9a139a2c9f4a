# What the commands of a document run in: the programs that they call, and what a reader would have in
# other terminals.

declare -A running=()

# Commands that call the control API look for it where the document has it.
cat >"$bin/tollgate" <<'PROGRAM'
#!/bin/bash
case "$1 ${2-}" in
    'key new') "$program" "$@" | tee -a "$made_keys" ;;
    'token '* | 'session '* | 'user '* | 'key list' | 'key rotate')
        exec "$program" "$@" --control "http://127.0.0.1:$CONTROL_PORT" ;;
    'demo '*) exec "$program" demo --any-port ;;
    *) exec "$program" "$@" ;;
esac
PROGRAM

# What the documents would build is what this test was built with.
cat >"$bin/cargo" <<'PROGRAM'
#!/bin/bash
case "$*" in
    'run --release -- demo') exec tollgate demo ;;
    'install --locked --path .'*) ;;
    *)
        echo "cargo $*: not in these documents" >&2
        exit 1
        ;;
esac
PROGRAM

chmod +x "$bin/tollgate" "$bin/cargo"

# begun NAME PID PORT: something goes on in the background; it is there as soon as it listens.
begun() {
    running[$1]=$2
    await "$1" "$3"
}

await() {
    for _ in {1..400}; do
        if [ "$1" = gate ]; then
            if curl -sf -o "$logs/ready" http://127.0.0.1:8081/readyz; then
                return 0
            fi
        elif (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
            return 0
        fi
        kill -0 "${running[$1]}" 2>/dev/null || break
        sleep 0.05
    done
    echo "$1 does not listen:" >&2
    cat "$logs/$1" >&2
    return 1
}

# listens PID: it reads what comes until it is stopped, and has not been sent away.
listens() {
    running[listener]=$1
    sleep 1
    kill -0 "$1" && [ -s "$logs/listener" ]
}

# ended NAME: ends it, if it runs.
ended() {
    if [ -n "${running[$1]-}" ]; then
        kill "${running[$1]}" 2>/dev/null || true
        wait "${running[$1]}" 2>/dev/null || true
        unset "running[$1]"
    fi
    # Whoever comes next under this name is not to be taken for the one before.
    rm -f "$logs/$1"
    if [ "$1" = gate ] && [ -e "$CURL_HOME/before-the-demo" ]; then
        mv "$CURL_HOME/before-the-demo" "$CURL_HOME/.curlrc"
        CONTROL_PORT=$control_port
    fi
}

all_ended() {
    local name
    for name in "${!running[@]}"; do
        ended "$name"
    done
}

# demo_begun PID: the demo takes whatever ports are free, and says which.
demo_begun() {
    running[gate]=$1
    for _ in {1..400}; do
        if grep -qs '/articles' "$logs/gate"; then
            break
        fi
        kill -0 "$1" 2>/dev/null || { cat "$logs/gate" >&2; return 1; }
        sleep 0.05
    done
    cp "$CURL_HOME/.curlrc" "$CURL_HOME/before-the-demo"
    local name port
    for name in gateway:8080 login:9001 control:8081; do
        port=$(sed -n "s|^ *${name%:*} .*:\([0-9]*\)/$|\1|p" "$logs/gate")
        sed -i "s/:${name#*:}:127.0.0.1:.*/:${name#*:}:127.0.0.1:$port\"/" "$CURL_HOME/.curlrc"
    done
    CONTROL_PORT=$port
}

# The keys that `tollgate key new` has made, in the order in which it did; what is missing is made.
key() {
    while [ "$(grep -c ^key "$made_keys")" -lt "$1" ]; do
        tollgate key new >/dev/null
    done
    sed -n "s/^key *//p" "$made_keys" | sed -n "$1p"
}

hash_of_key() {
    key "$1" >/dev/null
    sed -n "s/^secret_sha256 *//p" "$made_keys" | sed -n "$1p"
}

# written FILE: a file of the reader's, with the hashes of the reader's keys in it.
written() {
    mkdir -p "$(dirname "$1")"
    sed "s/0\{64\}/$(hash_of_key 1)/; s/1\{64\}/$(hash_of_key 2)/" >"$1"
}

# gate [FILE]: the gateway runs, as a service would run it.
gate() {
    ended gate
    tollgate serve --config "${1:-$root/etc/tollgate/config.toml}" >"$logs/gate" 2>&1 &
    begun gate $! "$gate_port"
}

# signed_in EMAIL PAGE: somebody has signed in to see a closed page, and $ID is the session's, $USER_ID the
# person's. The jar has the cookies.
signed_in() {
    local asked state order answer
    asked=$(curl -s -b "$logs/jar" -c "$logs/jar" -o "$logs/asked" -w '%{redirect_url}' "$2")
    state=$(sed 's/.*[?&]state=\([^&]*\).*/\1/' <<<"$asked")
    order="{\"email\": \"$1\", \"full_name\": \"Ada Lovelace\", \"return_url\": \"$2\", \"state\": \"$state\"}"
    answer=$(curl -s http://127.0.0.1:8081/v1/sso_tokens -H "Authorization: Bearer $(key 1)" \
        -H 'Content-Type: application/json' -d "$order")
    curl -s -b "$logs/jar" -c "$logs/jar" -o "$logs/redeemed" "$(sed 's/.*"redeem_url":"\([^"]*\)".*/\1/' <<<"$answer")"
    ID=$(TOLLGATE_KEY=$(key 2) tollgate session list --email "$1" | head -n 1 | cut -f 1)
    USER_ID=$(TOLLGATE_KEY=$(key 2) tollgate user list | awk -F '\t' -v who="$1" '$2 == who { print $1 }')
    if [ -z "$ID" ] || [ -z "$USER_ID" ]; then
        echo "$1 is not signed in: $asked $answer" >&2
        cat "$logs/redeemed" >&2
        return 1
    fi
}

# A configuration for documents that have none of their own.
plain_gate() {
    written "$root/etc/tollgate/config.toml" <<TOML
[server]
http = ["127.0.0.1:$gate_port"]
https = ["127.0.0.1:$tls_port"]
[control]
listen = "127.0.0.1:$CONTROL_PORT"
[[server.certificate]]
cert = "$certificate"
key = "$certificate_key"
[[api_key]]
name = "login-page"
secret_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
scopes = ["write:sso"]
permission = "super"
[[api_key]]
name = "operator"
secret_sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
scopes = ["admin"]
[[site]]
name = "$1"
hosts = ["www.example.com"]
public_url = "https://www.example.com"
upstream = ["http://127.0.0.1:$app_port"]
login_url = "https://login.example.com/"
[site.identity]
assertion = true
TOML
    gate
    LOGIN_PAGE_KEY=$(key 1) TOLLGATE_KEY=$(key 2)
    export LOGIN_PAGE_KEY TOLLGATE_KEY
}
