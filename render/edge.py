"""The public edge: nginx in front of Kong, with TLS, limits and the WAF's rules; CrowdSec, which reads its logs."""

from collections.abc import Mapping
from typing import Final

LOGS: Final = "/var/log/edge"
"""A folder that the image does not have. Docker fills a new volume from the image's folder of that path, owner and mode
included: `/var/log/nginx` is root's there, and holds links to the standard output."""
ACCESS_LOG: Final = f"{LOGS}/edge-access.log"
ERROR_LOG: Final = f"{LOGS}/edge-error.log"
CROWDSEC_PORT: Final = 8082
REQUESTS_PER_SECOND: Final = 20
CONNECTIONS: Final = 40
BODY_MIB: Final = 64
"""A document with all that goes with it, as Kong takes it."""
LOG_MIB: Final = 50
"""A log file above this gives way to a new one; one older is kept beside it."""
JSON_MIB: Final = 32
"""Everything but files, as the agents take it."""
_NOT_FROM_OUTSIDE: Final = (
    "X-Consumer-ID", "X-Consumer-Username", "X-Consumer-Custom-ID", "X-Credential-Identifier", "X-Anonymous-Consumer",
)  # fmt: skip
"""By these Kong tells the services behind it whom it has authenticated; on a route without a key it sets none."""
_BODIES: Final = ",".join(
    f"ctl:ruleRemoveTargetByTag=OWASP_CRS;{part}" for part in ("ARGS", "ARGS_NAMES", "REQUEST_BODY")
)
"""What the Core Rule Set does not look at where a prompt is expected."""


def edge_environment() -> Mapping[str, str]:
    """The variables of the image that are not left at its own values. The server template reads none of them."""
    return {
        # As many as the container has processors; `auto` counts the host's.
        "NGINX_WORKER_PROCESSES": "2",
        "BLOCKING_PARANOIA": "1",
        "ANOMALY_INBOUND": "5",
        "ALLOWED_METHODS": "GET HEAD POST PUT PATCH DELETE OPTIONS",
        "MODSEC_REQ_BODY_LIMIT": str(BODY_MIB << 20),
        "MODSEC_REQ_BODY_NOFILES_LIMIT": str(JSON_MIB << 20),
        # A copy of each uploaded file in /tmp, which is memory, that no rule reads.
        "MODSEC_TMP_SAVE_UPLOADED_FILES": "off",
        # Answers are streams of models; reading them whole would hold them back.
        "MODSEC_RESP_BODY_ACCESS": "off",
        "MODSEC_AUDIT_ENGINE": "RelevantOnly",
        # Without request headers: they hold keys, and the log is kept.
        "MODSEC_AUDIT_LOG_PARTS": "AFHZ",
        "ACCESSLOG": ACCESS_LOG,
        "ERRORLOG": ERROR_LOG,
    }


def edge_server(domain: str, sidecar: str) -> str:
    """The server template that replaces the image's own.

    The gateway in front tells the client's address by the PROXY protocol; it is believed from the own sidecar alone.
    """
    none = "\n".join(f'        proxy_set_header {name} "";' for name in _NOT_FROM_OUTSIDE)
    return f"""\
server_tokens off;
limit_req_zone $binary_remote_addr zone=requests:10m rate={REQUESTS_PER_SECOND}r/s;
limit_conn_zone $binary_remote_addr zone=connections:10m;

map $http_upgrade $mesh_connection {{
    default upgrade;
    "" close;
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

    limit_req zone=requests burst=40 nodelay;
    limit_conn connections {CONNECTIONS};
    limit_req_status 429;
    limit_conn_status 429;
    client_max_body_size {BODY_MIB}m;
    client_header_timeout 10s;
    client_body_timeout 30s;

    # With the client's address, not the proxy's: it is what the intrusion detection reads.
    access_log {ACCESS_LOG} combined;

    # Prompts hold code and markup. Their bodies are data for a model; the rest of the request is still looked at.
    modsecurity_rules "
      SecRule REQUEST_URI \\"@rx ^/(v1|models)/\\" \\"id:10001,phase:1,pass,nolog,chain\\"
        SecRule REQUEST_METHOD \\"@streq POST\\" \\"{_BODIES}\\"
    ";

    location = /healthz {{
        modsecurity off;
        return 200 "ok\\n";
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
    listen 8090;
    access_log off;
    location = /healthz {{
        modsecurity off;
        return 200 "ok\\n";
    }}
}}
"""


def log_rotation(folder: str = LOGS, most: int = LOG_MIB << 20, seconds: float = 60) -> str:
    """A shell command, for before the shell becomes nginx: in the background it keeps the log files small.

    nginx writes on to a renamed file until it is told to open its logs again; the intrusion detection follows by name.
    A size is in bytes.
    """
    files = " ".join(f"{folder}/{log.rpartition('/')[2]}" for log in (ACCESS_LOG, ERROR_LOG))
    return (
        # Before it is nginx, the signal would end the shell.
        f'{{ while sleep {seconds:g} && kill -0 $$; do [ "$(cat /proc/$$/comm)" = nginx ] || continue; moved=""; '
        f"for log in {files}; do "
        f'if [ -f "$log" ] && [ "$(wc -c <"$log")" -gt {most} ]; then mv -f "$log" "$log.1" && moved=yes; fi; done; '
        '[ -z "$moved" ] || kill -USR1 $$; done & }'
    )


def crowdsec_local() -> str:
    """`config.yaml.local`: where the local API and the metrics listen, and which of the hub's branches is used.

    Without a branch every `cscli ... install` at start first asks the makers for their newest version, and the start
    fails while they do not answer, although everything it installs is there.
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
    """The image's variables that are set, but for the bouncer's key."""
    return {
        "COLLECTIONS": "crowdsecurity/nginx",
        "DISABLE_ONLINE_API": "true",
        "LEVEL_INFO": "true",
        # The address that the image's own credentials name has the image's own port.
        "LOCAL_API_URL": f"http://127.0.0.1:{CROWDSEC_PORT}",
    }


def crowdsec_acquisition() -> str:
    """What is read: the edge's access and error logs, which may not be there yet when CrowdSec starts."""
    return f"""\
filenames:
  - {ACCESS_LOG}
  - {ERROR_LOG}
force_inotify: true
labels:
  type: nginx
"""
