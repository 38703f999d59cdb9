"""The public edge: nginx in front of Kong, with TLS, limits and the WAF's rules; CrowdSec, which reads its logs."""

from collections.abc import Mapping
from typing import Final

from render.client_errors import ANTHROPIC_HEADER, ANTHROPIC_PATHS, FROM_EDGE, text
from render.limits import BODY_MIB, CONNECTIONS, JSON_DEPTH, JSON_MIB, JSON_VALUES, REQUESTS_PER_SECOND

LOGS: Final = "/var/log/edge"
"""A folder that the image does not have. Docker fills a new volume from the image's folder at that path, with its owner
and mode: `/var/log/nginx` belongs to root there and holds links to standard output."""
ACCESS_LOG: Final = f"{LOGS}/edge-access.log"
ERROR_LOG: Final = f"{LOGS}/edge-error.log"
CROWDSEC_PORT: Final = 8082
LOG_MIB: Final = 50
"""A log file above this size is rotated; one older file is kept."""
_NOT_FROM_OUTSIDE: Final = (
    "X-Consumer-ID", "X-Consumer-Username", "X-Consumer-Custom-ID", "X-Credential-Identifier", "X-Anonymous-Consumer",
)  # fmt: skip
"""Headers by which Kong tells its upstreams whom it has authenticated; on routes without a key it does not set them,
and a client's own would pass."""
_BODIES: Final = ",".join(
    f"ctl:ruleRemoveTargetByTag=OWASP_CRS;{part}" for part in ("ARGS", "ARGS_NAMES", "REQUEST_BODY")
)
"""Targets that the Core Rule Set does not inspect where a prompt is expected."""


ERRORS_PORT: Final = 8091
"""Of the container's loopback."""
_OWN_STATUSES: Final = (404, 405, 408, 411, 413, 414, 415, 416, 429, 494, 500, 501, 502, 503, 504, 505)
"""What nginx answers beside 400 and 403; 494 is 400 to the client, for headers that are too large."""


def _key(exact: str, status: int) -> str:
    """The key in nginx's map: those of 400 and 500 are for every status of their kind that has no other."""
    return f'"~^{exact[:-2]}"' if status in (400, 500) else f'"{exact}"'


def _quoted(value: str) -> str:
    if "$" in value:
        raise ValueError(f"{value!r}: nginx would take it for a variable")
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def edge_environment() -> Mapping[str, str]:
    """The image's variables that differ from its defaults. Our server template reads none of them."""
    return {
        # The container's CPUs; `auto` counts the host's.
        "NGINX_WORKER_PROCESSES": "2",
        "BLOCKING_PARANOIA": "1",
        "ANOMALY_INBOUND": "5",
        "ALLOWED_METHODS": "GET HEAD POST PUT PATCH DELETE OPTIONS",
        "MODSEC_REQ_BODY_LIMIT": str(BODY_MIB << 20),
        "MODSEC_REQ_BODY_NOFILES_LIMIT": str(JSON_MIB << 20),
        "MODSEC_ARGUMENTS_LIMIT": str(JSON_VALUES),
        "MODSEC_REQ_BODY_JSON_DEPTH_LIMIT": str(JSON_DEPTH),
        # Would copy each uploaded file to /tmp, a tmpfs, where no rule reads it.
        "MODSEC_TMP_SAVE_UPLOADED_FILES": "off",
        # Responses are streams of models; inspecting them would buffer them.
        "MODSEC_RESP_BODY_ACCESS": "off",
        "MODSEC_AUDIT_ENGINE": "RelevantOnly",
        # Without request headers: they hold keys, and the log is kept.
        "MODSEC_AUDIT_LOG_PARTS": "AFHZ",
        "ACCESSLOG": ACCESS_LOG,
        "ERRORLOG": ERROR_LOG,
    }


def edge_server(domain: str, sidecar: str) -> str:
    """The server template that replaces the image's own.

    The gateway in front passes the client's address by the PROXY protocol, which is trusted from the own sidecar only.
    """
    shapes = {name: {s: getattr(e, name)() for s, e in FROM_EDGE.items()} for name in ("openai", "anthropic")}
    errors = "\n".join(
        f"    {_key(f'{name} {status}', status)} {_quoted(text(body))};"
        for name, bodies in shapes.items()
        for status, body in sorted(bodies.items(), reverse=True)
    )
    paths = "|".join(path.removeprefix("/v1/") for path in ANTHROPIC_PATHS)
    none = "\n".join(f'        proxy_set_header {name} "";' for name in _NOT_FROM_OUTSIDE)
    return f"""\
server_tokens off;
limit_req_zone $binary_remote_addr zone=requests:10m rate={REQUESTS_PER_SECOND}r/s;
limit_conn_zone $binary_remote_addr zone=connections:10m;

map $http_upgrade $mesh_connection {{
    default upgrade;
    "" close;
}}

# What nginx and ModSecurity say themselves, in the shape of the client's API.
map "$http_{ANTHROPIC_HEADER.replace("-", "_")} $request_uri" $mesh_api {{
    default openai;
    "~^\\S" anthropic;
    "~^ /v1/(?:{paths})(?:[/?]|$)" anthropic;
}}
map "$mesh_api $status" $mesh_error {{
{errors}
}}
# Only to what is refused here: what stands behind has a time of its own.
map "$status $upstream_status" $mesh_retry_after {{
    default "";
    "429 " 1;
}}

server {{
    listen 8443 ssl proxy_protocol;
    http2 on;
    server_name {domain};
    set_real_ip_from {sidecar};
    real_ip_header proxy_protocol;

    ssl_certificate /config/certificate.pem;
    ssl_certificate_key /config/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    add_header Strict-Transport-Security "max-age=31536000" always;
    add_header X-Content-Type-Options nosniff always;
    add_header Retry-After $mesh_retry_after always;
    error_page 400 403 @mesh_refused;
    error_page {" ".join(map(str, _OWN_STATUSES))} @mesh_error;

    limit_req zone=requests burst=40 nodelay;
    limit_conn connections {CONNECTIONS};
    limit_req_status 429;
    limit_conn_status 429;
    client_max_body_size {BODY_MIB}m;
    client_header_timeout 10s;
    client_body_timeout 30s;

    # With the client's address, not the proxy's: CrowdSec reads it.
    access_log {ACCESS_LOG} combined;

    # Prompts contain code and markup. Their bodies are data for a model; the rest of the request is still inspected.
    modsecurity_rules "
      SecRule REQUEST_URI \\"@rx ^/(v1|models)/\\" \\"id:10001,phase:1,pass,nolog,chain\\"
        SecRule REQUEST_METHOD \\"@streq POST\\" \\"{_BODIES}\\"
    ";

    location = /healthz {{
        modsecurity off;
        return 200 "ok\\n";
    }}

    # The status stays what it was.
    location @mesh_error {{
        default_type application/json;
        return 200 $mesh_error;
    }}

    # What ModSecurity may have refused. Here its connector for nginx, up to 1.0.3, forgets what it has found, and finds
    # it again for its log if the request comes as far as a handler: the server below, which sends the header back.
    location @mesh_refused {{
        proxy_pass http://127.0.0.1:{ERRORS_PORT};
        proxy_method GET;
        proxy_pass_request_body off;
        proxy_pass_request_headers off;
        proxy_set_header X-Mesh-Error $mesh_error;
    }}

    location / {{
        proxy_pass http://kong:8000;
        proxy_http_version 1.1;
        # The own sidecar tells callees apart by this name.
        proxy_set_header Host $proxy_host;
        proxy_set_header X-Forwarded-Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $mesh_connection;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto https;
        proxy_set_header X-Request-ID $request_id;
        # Nobody outside says who they are.
{none}
        # Answers of models are streams.
        proxy_buffering off;
        proxy_read_timeout 3600s;
    }}
}}

server {{
    listen 8443 ssl proxy_protocol default_server;
    set_real_ip_from {sidecar};
    real_ip_header proxy_protocol;
    access_log {ACCESS_LOG} combined;
    ssl_certificate /config/certificate.pem;
    ssl_certificate_key /config/key.pem;
    return 421;
}}

server {{
    listen 127.0.0.1:{ERRORS_PORT};
    access_log off;
    modsecurity off;
    default_type application/json;
    return 200 $http_x_mesh_error;
}}

server {{
    listen 8090;
    access_log off;
    location = /healthz {{
        modsecurity off;
        return 200 "ok\\n";
    }}
}}
"""


def log_rotation(folder: str = LOGS, most: int = LOG_MIB << 20, seconds: float = 60) -> str:
    """A shell command that rotates the log files in the background, to be run before the shell executes nginx.

    `most` is in bytes. nginx keeps writing to a renamed file until SIGUSR1 makes it reopen its logs; CrowdSec follows
    the file by name.
    """
    files = " ".join(f"{folder}/{log.rpartition('/')[2]}" for log in (ACCESS_LOG, ERROR_LOG))
    return (
        # Until the shell has become nginx, the signal would kill it.
        f'{{ while sleep {seconds:g} && kill -0 $$; do [ "$(cat /proc/$$/comm)" = nginx ] || continue; moved=""; '
        f"for log in {files}; do "
        f'if [ -f "$log" ] && [ "$(wc -c <"$log")" -gt {most} ]; then mv -f "$log" "$log.1" && moved=yes; fi; done; '
        '[ -z "$moved" ] || kill -USR1 $$; done & }'
    )


def crowdsec_local() -> str:
    """`config.yaml.local`: where the local API and the metrics listen, and which branch of the hub is used.

    Without a branch every `cscli ... install` at start first looks up CrowdSec's newest version online, and the start
    fails if that is unreachable, although everything to be installed is there.
    """
    return f"""\
api:
  server:
    listen_uri: 0.0.0.0:{CROWDSEC_PORT}
cscli:
  hub_branch: master
prometheus:
  enabled: true
  level: full
  listen_addr: 0.0.0.0
  listen_port: 6060
"""


def crowdsec_environment() -> Mapping[str, str]:
    """The image's variables that are set, except the bouncer's key."""
    return {
        "COLLECTIONS": "crowdsecurity/nginx",
        "DISABLE_ONLINE_API": "true",
        "LEVEL_INFO": "true",
        # The credentials in the image name the default port.
        "LOCAL_API_URL": f"http://127.0.0.1:{CROWDSEC_PORT}",
    }


def crowdsec_acquisition() -> str:
    """What CrowdSec reads: the edge's access and error logs, which may not exist yet when it starts."""
    return f"""\
filenames:
  - {ACCESS_LOG}
  - {ERROR_LOG}
force_inotify: true
labels:
  type: nginx
"""
