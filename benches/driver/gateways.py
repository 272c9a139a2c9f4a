"""The gateways that are compared, and how each is started.

Each does the least that its job takes: no access log, no header that nobody asked for. All keep their
connections to visitors and to the upstream, and those that check sessions tell the upstream the user.
"""

import random
from dataclasses import dataclass

from . import programs, tickets, tollgate
from .process import Process
from .stage import SESSIONS, free_port, unprivileged

# What the gateways have to be told where they are to forward upgrades: nginx alone.
KEEP = 'proxy_set_header Connection "";'
UPGRADE = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


@dataclass
class Gateway:
    """One that runs."""

    key: str
    title: str
    process: Process
    http: int
    # None where it does no TLS.
    https: int | None
    # What browsers send, "name=value". Whoever guards lets in nobody else.
    cookies: list[str]
    guards: bool = True
    # Whether it asks another service about each request.
    asks: bool = False
    # Where tollgate signs in more visitors.
    door: tollgate.Door | None = None


@dataclass(frozen=True)
class Wanted:
    """What a case asks of the gateways that it starts."""

    upstream: int
    upgrades: bool = False
    # Visitors come by TLS.
    tls: bool = False
    workers: int = 1
    # Of tollgate; the others have as many as the stage.
    sessions: int = SESSIONS
    # What runs inside of an instrument cannot have children.
    one_process: bool = False
    # The instrument.
    inside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A gateway that could be started."""

    key: str
    title: str
    # Its name among the programs, or a path.
    program: str
    # Starts it: (kind, stage, held, wanted) -> Gateway. What it starts ends with `held`.
    starter: object

    def start(self, stage, held, wanted):
        return self.starter(self, stage, held, wanted)


def nginx(kind, stage, held, wanted):
    http, https, name = free_port(), free_port(), unique(kind.key)
    values = dict(http=http, https=https, name=name, upstream=wanted.upstream, auth=stage.auth)
    workers = f"worker_processes {wanted.workers};"
    values["process"] = "master_process off;" if wanted.one_process else workers
    values["connection"] = UPGRADE if wanted.upgrades else KEEP
    values["common"] = stage.render("nginx-common.conf", f"{name}.common", name=name)
    values["tls"] = stage.render("nginx-tls.conf", f"{name}.tls")
    if kind is LUA:
        values["ndk_module"] = programs.find_file("usr/lib/nginx/modules/ndk_http_module.so")
        values["lua_module"] = programs.find_file("usr/lib/nginx/modules/ngx_http_lua_module.so")
        values["lua_packages"] = programs.find_file("usr/share/lua/5.1/resty/core.lua").parents[1]
    template = "nginx.conf" if kind is NGINX else f"nginx-{kind.key}.conf"
    config = stage.render(template, f"{name}.conf", **values)
    command = [programs.find("nginx"), "-c", config, "-e", stage.folder / f"{name}.error.log"]
    process = run(stage, held, name, wanted, command, http)
    return Gateway(
        *(kind.key, kind.title, process, http, https, stage.cookies),
        guards=kind is not NGINX,
        asks=kind is AUTH_REQUEST,
    )


def haproxy(kind, stage, held, wanted):
    http, https, name = free_port(), free_port(), unique(kind.key)
    both = [stage.certificate.read_text(), stage.certificate_key.read_text()]
    values = dict(http=http, https=https, upstream=wanted.upstream)
    values["certificate_and_key"] = stage.write("certificate-and-key.pem", both)
    config = stage.render("haproxy.cfg", f"{name}.cfg", **values)
    process = run(stage, held, name, wanted, [programs.find("haproxy"), "-db", "-f", config], http)
    return Gateway(kind.key, kind.title, process, http, https, stage.cookies)


def apache(kind, stage, held, wanted):
    http, https, name = free_port(), free_port(), unique(kind.key)
    user, group = unprivileged()
    secret = "what the login page knows too"
    values = dict(http=http, https=https, upstream=wanted.upstream)
    values |= dict(user=user, group=group, ticket_secret=secret)
    values["apache_modules"] = programs.find_file("usr/lib/apache2/modules/mod_proxy.so").parent
    values["auth_tkt_module"] = programs.find_file("usr/lib/apache2/modules/mod_auth_tkt.so")
    config = stage.render("apache.conf", f"{name}.conf", **values)
    command = [programs.find("apache2"), "-D", "FOREGROUND", "-f", config]
    process = run(stage, held, name, wanted, command, http)
    cookies = [f"auth_tkt={tickets.make(secret, user)}" for _, user in stage.sessions]
    return Gateway(kind.key, kind.title, process, http, https, cookies)


def caddy(kind, stage, held, wanted):
    http, https, name = free_port(), free_port(), unique(kind.key)
    values = dict(http=http, https=https, upstream=wanted.upstream, auth=stage.auth)
    config = stage.render("Caddyfile", f"{name}.Caddyfile", **values)
    command = ["env", "GOMAXPROCS=1", f"XDG_CONFIG_HOME={stage.folder}", f"XDG_DATA_HOME={stage.folder}"]
    command += [programs.find("caddy"), "run", "--adapter", "caddyfile", "--config", config]
    process = run(stage, held, name, wanted, command, http)
    return Gateway(kind.key, kind.title, process, http, https, stage.cookies, asks=True)


def tollgate_itself(kind, stage, held, wanted):
    http, control, name = free_port(), free_port(), unique(kind.key)
    https = free_port() if wanted.tls else None
    values = dict(http=http, control=control, upstream=wanted.upstream)
    values |= dict(workers=wanted.workers, key=tollgate.KEY)
    values["https_listener"] = f'https = ["127.0.0.1:{https}"]' if https else ""
    values["https_certificate"] = tollgate.CERTIFICATE if https else ""
    config = stage.render("tollgate.toml", f"{name}.toml", **values)
    tollgate.check(kind.program, config)
    command = [kind.program, "--log", "warn", "serve", "--config", config]
    process = run(stage, held, name, wanted, command, http)
    process.wait_for_port(control)
    door = tollgate.Door(control, https or http, tls=wanted.tls)
    cookies = door.redeem(door.issue(wanted.sessions))
    return Gateway(kind.key, kind.title, process, http, https, cookies, door=door)


def run(stage, held, name, wanted, command, http):
    cores = stage.cores_for(wanted.workers).gateway
    process = held.enter_context(stage.process(name, [*wanted.inside, *command], cores))
    # An instrument writes down what it has found when the program has ended.
    process.patience = 120 if wanted.inside else 5
    process.wait_for_port(http)
    return process


def unique(key):
    """A name for one that is started: there may be several of a kind."""
    return f"{key}-{random.randrange(16**6):06x}"


NGINX = Kind("nginx", "nginx proxy_pass, no auth", "nginx", nginx)
AUTH_REQUEST = Kind("auth_request", "nginx auth_request", "nginx", nginx)
LUA = Kind("lua", "nginx + Lua look-up", "nginx", nginx)
HAPROXY = Kind("haproxy", "HAProxy + session map", "haproxy", haproxy)
APACHE = Kind("apache", "Apache mod_auth_tkt", "apache2", apache)
CADDY = Kind("caddy", "Caddy forward_auth", "caddy", caddy)

OTHERS = (NGINX, AUTH_REQUEST, LUA, HAPROXY, APACHE, CADDY)


def tollgate_kind(binary, key="tollgate", title="tollgate"):
    """A build of tollgate."""
    return Kind(key, title, str(binary), tollgate_itself)
