"""Kong without a database: serves the declarative file that `KONG_DECLARATIVE_CONFIG` names.

What of it is served: routes by path with or without stripping, key-auth, acl, rate-limiting, request-size-limiting,
request-transformer (remove, replace and add of headers), cors, correlation-id, prometheus, and of
pre-function and post-function what they do with answers (`kong_lua.py`). A file that does not fit Kong's schemas
(`kong_schema.py`) stops it. What it does with a request was read from `kong/plugins/*/handler.lua`,
`kong/runloop/{handler,plugins_iterator}.lua`, `kong/error_handlers.lua` and `kong/pdk/response.lua` of 3.9.3.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lab.images.standins.common import (
    TEXT,
    Answer,
    CutError,
    Refused,
    Request,
    Service,
    metric,
    readable,
    say,
    wait,
)
from lab.images.standins.kong_config import ConfigError, Gateway, Plugins, Route, load
from lab.images.standins.kong_lua import LuaError, Response
from lab.images.standins.kong_schema import SERVERLESS
from lab.images.standins.redis_counter import RedisError

_NAMESPACE: Final = uuid.UUID("5b1c9d5e-3c0f-4c57-9a0b-6f6d3a3a6f51")
WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
UNITS: Final = {"bytes": 1, "kilobytes": 1 << 10, "megabytes": 1 << 20}
CONSUMER: Final = frozenset(
    ["x-consumer-id", "x-consumer-username", "x-consumer-custom-id", "x-credential-identifier", "x-anonymous-consumer"]
)
"""What key-auth tells the service behind, whatever the client said."""
HOP: Final = frozenset(
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]
)
OWN: Final = HOP | {"content-length", "content-type", "date", "server"}
"""Headers of the answer that the server here writes itself."""


def error(request: Request, status: int, message: str, headers: Mapping[str, str] | None = None) -> Refused:
    """An error in Kong's form, with the request's id."""
    return Refused(status, message, {"message": message, "request_id": request.header("x-request-id")}, headers)


class Unreachable(Refused):
    """The service behind gave no answer; Kong's own words come from `kong/error_handlers.lua`."""


def credential(auth: Mapping[str, Any], request: Request) -> tuple[str, str]:
    """The name and the value of the first key that a request brings, in the order of `key_names`."""
    for name in auth.get("key_names") or ["apikey"]:
        given = request.header(name) if auth.get("key_in_header", True) else ""
        if not given and auth.get("key_in_query", True):
            given = request.query.get(name, "")
        if given:
            return name.lower(), given
    return "", ""


def consumer_of(gateway: Gateway, route: Route, request: Request) -> str:
    """Who asks; refused without a key where one is wanted, or without the group."""
    auth = route.plugins.get("key-auth")
    if auth is None or (request.method == "OPTIONS" and not auth.get("run_on_preflight", True)):
        return ""
    _, given = credential(auth, request)
    if not given:
        raise error(request, 401, "No API key found in request", {"WWW-Authenticate": "Key"})
    if given not in gateway.keys:
        raise error(request, 401, "Unauthorized", {"WWW-Authenticate": "Key"})
    who = gateway.keys[given]
    allowed = frozenset(route.plugins.get("acl", {}).get("allow") or [])
    if allowed and not allowed & gateway.groups[who]:
        raise error(request, 403, "You cannot consume this service")
    return who


def limited(gateway: Gateway, route: Route, request: Request, who: str) -> dict[str, str]:
    """Headers that tell of the limit; refused past it."""
    size = route.plugins.get("request-size-limiting")
    if size and len(request.body) > size["allowed_payload_size"] * UNITS[size.get("size_unit", "megabytes")]:
        # One that asks before it sends is told that it may not.
        raise error(request, 417 if request.header("expect") else 413, "Request size limit exceeded")
    headers: dict[str, str] = {}
    rate = route.plugins.get("rate-limiting", {})
    for window in WINDOWS:
        if window not in rate:
            continue
        subject = who or request.header("x-forwarded-for") or "?"
        used = _count(gateway, f"{route.name}:{subject}:{window}", WINDOWS[window], rate)
        if used is None:
            return {}
        left = max(0, rate[window] - used)
        name = window.title()
        headers |= {f"X-RateLimit-Limit-{name}": str(rate[window]), f"X-RateLimit-Remaining-{name}": str(left)}
        if used > rate[window]:
            after = WINDOWS[window] - int(time.time()) % WINDOWS[window]
            raise error(request, 429, "API rate limit exceeded", {**headers, "Retry-After": str(after)})
    return headers


def _count(gateway: Gateway, key: str, seconds: int, rate: Mapping[str, Any]) -> int | None:
    """None: Redis is down, and nobody is limited (`rate-limiting/handler.lua`, fault_tolerant)."""
    period = int(time.time()) // seconds
    if gateway.counter is not None:
        try:
            return gateway.counter.add(f"ratelimit:{key}:{period}", seconds)
        except RedisError as away:
            if not rate.get("fault_tolerant", True):
                raise Refused(500, "", {"message": "An unexpected error occurred"}) from away
            say(f"failed to get usage: {away}")
            return None
    gateway.local[key, period] += 1
    return gateway.local[key, period]


def upstream_headers(route: Route, request: Request, request_id: str, who: str) -> dict[str, str]:
    """What the service behind is sent."""
    hidden: set[str] = set()
    told: dict[str, str] = {}
    if auth := route.plugins.get("key-auth"):
        # Only the header that the key was taken from: another of `key_names` reaches the service.
        hidden = {credential(auth, request)[0]} if auth.get("hide_credentials") else set()
        hidden |= CONSUMER
        told = {
            "x-consumer-username": who,
            "x-consumer-id": str(uuid.uuid5(_NAMESPACE, who)),
            "x-credential-identifier": str(uuid.uuid5(_NAMESPACE, f"key of {who}")),
        }
    headers = {k: v for k, v in request.headers.items() if k not in HOP | hidden | {"host", "content-length"}}
    headers |= told
    transform = route.plugins.get("request-transformer", {})
    for name in (transform.get("remove") or {}).get("headers") or []:
        headers.pop(name.lower(), None)
    for entry in (transform.get("replace") or {}).get("headers") or []:
        name, _, value = entry.partition(":")
        if name.lower() in headers:
            headers[name.lower()] = value
    for entry in (transform.get("add") or {}).get("headers") or []:
        name, _, value = entry.partition(":")
        headers.setdefault(name.lower(), value)
    if "correlation-id" in route.plugins:
        headers.setdefault(route.plugins["correlation-id"].get("header_name", "Kong-Request-ID").lower(), request_id)
    return headers


class Proxy:
    """The port that clients reach."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.service = Service("kong")
        self.service.fallback = self._serve
        self._lock = threading.Lock()

    def _serve(self, request: Request) -> Answer:
        route = next((r for r in self.gateway.routes if r.matched(request.path) is not None), None)
        plugins = self.gateway.everywhere if route is None else route.plugins
        request_id = request.header("x-request-id") or str(uuid.uuid4())
        who, source = "", "service"
        try:
            if route is None:
                raise error(request, 404, "no Route matched with those values")
            if (allowed := preflight(route.plugins.get("cors"), request)) is not None:
                answer, source = Answer(b"", 200, headers=allowed), "exit"
            else:
                who = consumer_of(self.gateway, route, request)
                limits = limited(self.gateway, route, request, who)
                self._rewritten(route, request)
                answer = self._forward(route, request, request_id, who)
                echo = route.plugins.get("correlation-id", {}).get("echo_downstream")
                answer.headers = {**answer.headers, **limits, **({"x-request-id": request_id} if echo else {})}
        except Refused as refused:
            answer, source = refused.answer, "error" if isinstance(refused, Unreachable) else "exit"
        if route is not None:
            self._tally(route, answer.status, who)
        answer.headers = {**answer.headers, "Via": "kong (stand-in)"}
        return self._filtered(plugins, request, answer, source)

    def _rewritten(self, route: Route, request: Request) -> None:
        """The phase `access` of the serverless functions."""
        for name in SERVERLESS:
            codes = route.plugins.get(name, {}).get("access")
            if codes and self.gateway.functions is not None:
                try:
                    request.body = self.gateway.functions.request(codes, request.path, request.body)
                except LuaError as failed:
                    say(f"a serverless function failed: {failed}")
                    raise error(request, 500, "An unexpected error occurred") from failed

    def _filtered(self, plugins: Plugins, request: Request, answer: Answer, source: str) -> Answer:
        """The phases of an answer, in the order of the plugins' priorities."""
        self._functions(plugins.get("pre-function"), request, answer, source)
        if source != "exit" or request.method != "OPTIONS":
            answer.headers = {**answer.headers, **cors_headers(plugins.get("cors"), request)}
        self._functions(plugins.get("post-function"), request, answer, source)
        return answer

    def _functions(self, phases: Mapping[str, Any] | None, request: Request, answer: Answer, source: str) -> None:
        if not phases or self.gateway.functions is None:
            return
        seen = Response(request.path, request.method, answer.status, source, request.headers)
        try:
            self.gateway.functions.run(phases, seen)
        except LuaError as failed:
            # The real one ends the connection in the middle of its headers.
            say(f"a serverless function failed: {failed}")
            raise CutError from failed
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in seen.cleared | seen.given.keys()}
        kind = seen.given.pop("content-type", answer.type)
        length = seen.given.pop("content-length", None)
        answer.headers, answer.type = {**kept, **seen.given}, kind
        if seen.body is not None:
            if length is not None and int(length) != len(seen.body):
                say(f"a serverless function tells of {length} bytes and sends {len(seen.body)}")
                raise CutError
            answer.body = seen.body

    def _tally(self, route: Route, status: int, who: str) -> None:
        with self._lock:
            self.gateway.counts[route.name, status, who] += 1

    def _forward(self, route: Route, request: Request, request_id: str, who: str) -> Answer:
        address = urllib.parse.urlsplit(route.url)
        matched = route.matched(request.path) or ""
        path = request.path.removeprefix(matched.rstrip("/")) if route.strip else request.path
        path = address.path.rstrip("/") + (path if path.startswith("/") else f"/{path}")
        query = urllib.parse.urlencode(request.query)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=route.timeout)
        try:
            connection.request(
                request.method,
                path + (f"?{query}" if query else ""),
                request.body or None,
                upstream_headers(route, request, request_id, who),
            )
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            say(f"{route.name}: {error}")
            message = {"message": "An invalid response was received from the upstream server"}
            raise Unreachable(502, "", message) from None
        headers = {k: v for k, v in response.getheaders() if k.lower() not in OWN}
        kind = response.getheader("content-type", "application/octet-stream")
        length = "0" if response.status in (204, 304) else response.getheader("content-length")
        if length is not None and int(length) < 1 << 20:
            body = response.read()
            connection.close()
            return Answer(body, response.status, kind, headers)
        return Answer(_stream(connection, response), response.status, kind, headers)


def _stream(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The answer as it comes, so that models' words are not held back."""
    try:
        while block := response.read1(1 << 16):
            yield block
    finally:
        connection.close()


def preflight(cors: Mapping[str, Any] | None, request: Request) -> dict[str, str] | None:
    """Headers of the answer to a preflight request; None: it is none, or nobody here answers it."""
    asked = request.header("access-control-request-method")
    if cors is None or request.method != "OPTIONS" or not request.header("origin") or not asked:
        return None
    if cors.get("preflight_continue"):
        return None
    headers = _allowed_origin(cors, request)
    wanted = ",".join(cors.get("headers") or []) or request.header("access-control-request-headers")
    methods = cors.get("methods") or ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
    headers |= {"Access-Control-Allow-Methods": ",".join(methods)}
    headers |= {"Access-Control-Allow-Headers": wanted} if wanted else {}
    return headers | ({"Access-Control-Max-Age": f"{cors['max_age']:g}"} if cors.get("max_age") else {})


def cors_headers(cors: Mapping[str, Any] | None, request: Request) -> dict[str, str]:
    """Headers that the plugin adds to any other answer."""
    if cors is None:
        return {}
    exposed = ",".join(cors.get("exposed_headers") or [])
    return _allowed_origin(cors, request) | ({"Access-Control-Expose-Headers": exposed} if exposed else {})


def _allowed_origin(cors: Mapping[str, Any], request: Request) -> dict[str, str]:
    """`cors/handler.lua`, configure_origin and configure_credentials, for origins that are no patterns."""
    origins, asked = cors.get("origins") or ["*"], request.header("origin")
    credentials = {"Access-Control-Allow-Credentials": "true"} if cors.get("credentials") else {}
    if "*" in origins:
        allowed = asked if credentials and asked else "*"
        return {"Access-Control-Allow-Origin": allowed, **(credentials if asked else {})}
    found = origins[0] if len(origins) == 1 else next((origin for origin in origins if origin == asked), None)
    return {"vary": "Origin", **({"Access-Control-Allow-Origin": found} if found else {}), **credentials}


def status_service(gateway: Gateway) -> Service:
    """The status port: readiness and metrics."""
    service = Service("kong-status")
    service.route("GET", "/status")(lambda _: {"database": {"reachable": True}, "configuration_hash": "stand-in"})
    service.route("GET", "/status/ready")(lambda _: {"message": "ready"})

    @service.route("GET", "/metrics")
    def _(_request: Request) -> Answer:
        samples = {
            f'service="{r}",route="{r}",code="{s}",source="service",consumer="{w}"': n
            for (r, s, w), n in sorted(gateway.counts.items())
        }
        return Answer(metric("kong_http_requests_total", "counter", dict(samples)), type=TEXT)

    return service


def main() -> None:
    """`kong docker-start`: everything from the environment."""
    env = os.environ
    if env.get("KONG_DATABASE") != "off":
        sys.exit("the stand-in knows KONG_DATABASE=off alone")
    with open(os.path.join(env["KONG_PREFIX"], ".probe"), "w"):  # noqa: PTH118, PTH123 - the real one writes there too
        pass
    try:
        gateway = load(readable(env["KONG_DECLARATIVE_CONFIG"]))
    except (ConfigError, KeyError, LuaError) as error:
        sys.exit(f"error parsing declarative config file {env['KONG_DECLARATIVE_CONFIG']}: {error}")
    for variable, service in (
        ("KONG_STATUS_LISTEN", status_service(gateway)),
        ("KONG_PROXY_LISTEN", Proxy(gateway).service),
    ):
        host, _, port = env[variable].rpartition(":")
        service.start(int(port), host)
    wait()


if __name__ == "__main__":
    main()
