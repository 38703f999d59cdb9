"""The image of the public edge: Debian's nginx and ModSecurity, with the start, settings and rules of the real image.

Read from coreruleset/modsecurity-crs-docker at 5e3cda3 (2026-08-19): `nginx/Dockerfile`, `nginx/docker-entrypoint.d`,
`nginx/templates`, `src/etc/modsecurity.d`, `src/opt/modsecurity`; the base image's entry point from
nginx/docker-nginx-unprivileged at e26803b.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lab.images import crs
from lab.images.entry import Entry

_NGINX: Final = (crs.NGINX, crs.NGINX)
_TMP: Final = "/tmp/modsecurity"  # noqa: S108 - a tmpfs lies over it
_TEMPLATES: Final = "/etc/nginx/templates"
TEMPLATES: Final = Path(__file__).with_name("shims") / "waf"
ENVIRONMENT: Final[Mapping[str, str]] = {
    "ACCESSLOG": "/var/log/nginx/access.log",
    "ANOMALY_INBOUND": "5",
    "ANOMALY_OUTBOUND": "4",
    "BACKEND": "http://localhost:80",
    "BLOCKING_PARANOIA": "1",
    "CLIENT_BODY_TIMEOUT": "10s",
    "ERRORLOG": "/var/log/nginx/error.log",
    "HTTP2": "on",
    "KEEPALIVE_TIMEOUT": "60s",
    "LOGLEVEL": "warn",
    "METRICSLOG": "/dev/null",
    "MODSEC_ARGUMENTS_LIMIT": "1000",
    "MODSEC_ARGUMENT_SEPARATOR": "&",
    "MODSEC_AUDIT_ENGINE": "RelevantOnly",
    "MODSEC_AUDIT_LOG": "/dev/stdout",
    "MODSEC_AUDIT_LOG_FORMAT": "JSON",
    "MODSEC_AUDIT_LOG_PARTS": "ABIJDEFHZ",
    "MODSEC_AUDIT_LOG_RELEVANT_STATUS": "^(?:5|4(?!04))",
    "MODSEC_AUDIT_LOG_TYPE": "Serial",
    "MODSEC_AUDIT_STORAGE_DIR": "/var/log/modsecurity/audit/",
    "MODSEC_COOKIE_FORMAT": "0",
    "MODSEC_DATA_DIR": f"{_TMP}/data",
    "MODSEC_DEBUG_LOG": "/dev/null",
    "MODSEC_DEBUG_LOGLEVEL": "0",
    "MODSEC_DEFAULT_PHASE1_ACTION": "phase:1,pass,log,tag:'${MODSEC_TAG}'",
    "MODSEC_DEFAULT_PHASE2_ACTION": "phase:2,pass,log,tag:'${MODSEC_TAG}'",
    "MODSEC_PCRE_MATCH_LIMIT": "100000",
    "MODSEC_PCRE_MATCH_LIMIT_RECURSION": "100000",
    "MODSEC_REQ_BODY_ACCESS": "on",
    "MODSEC_REQ_BODY_JSON_DEPTH_LIMIT": "512",
    "MODSEC_REQ_BODY_LIMIT": "13107200",
    "MODSEC_REQ_BODY_LIMIT_ACTION": "Reject",
    "MODSEC_REQ_BODY_NOFILES_LIMIT": "131072",
    "MODSEC_RESP_BODY_ACCESS": "on",
    "MODSEC_RESP_BODY_LIMIT": "1048576",
    "MODSEC_RESP_BODY_LIMIT_ACTION": "ProcessPartial",
    "MODSEC_RESP_BODY_MIMETYPE": "text/plain text/html text/xml",
    "MODSEC_RULE_ENGINE": "on",
    "MODSEC_STATUS_ENGINE": "Off",
    "MODSEC_TAG": "modsecurity",
    "MODSEC_TMP_DIR": f"{_TMP}/tmp",  # noqa: S108
    "MODSEC_TMP_SAVE_UPLOADED_FILES": "on",
    "MODSEC_UNICODE_MAPPING": "20127",
    "MODSEC_UPLOAD_DIR": f"{_TMP}/upload",
    "MODSEC_UPLOAD_FILE_MODE": "0600",
    "MODSEC_UPLOAD_KEEP_FILES": "Off",
    "NGINX_ENVSUBST_OUTPUT_DIR": "/etc/nginx",
    "NGINX_HOME": "/etc/nginx",
    "NGINX_PORT_IN_REDIRECT": "off",
    "NGINX_WORKER_PROCESSES": "auto",
    "PORT": "8080",
    "PROXY_HOST_HEADER": "$host",
    "PROXY_SSL": "off",
    "REAL_IP_HEADER": "X-REAL-IP",
    "REAL_IP_RECURSIVE": "on",
    "RESOLVERS": "",
    "RESOLVER_CONFIG": "valid=5s",
    "SERVER_NAME": "localhost",
    "SERVER_TOKENS": "off",
    "SET_REAL_IP_FROM": "127.0.0.1",
    "SSL_CERT_FILE": "/etc/nginx/conf/server.crt",
    "SSL_CERT_KEY_FILE": "/etc/nginx/conf/server.key",
    "SSL_PORT": "8443",
    "WORKER_CONNECTIONS": "1024",
}
"""The image's defaults of every variable that our steps read; the program's variables override them."""


def waf() -> Entry:
    """Debian's programs; the image's templates belong to root, what it writes at start to its user."""
    return Entry(
        real=True,
        reason="nginx and ModSecurity from Debian, the Core Rule Set from its Go module; settings, own rules and start "
        "of the image in our words",
        version=f"CRS {crs.version()}, nginx 1.26, ModSecurity 3.0.14",
        not_covered="rules that came after CRS 4.25, plugins, HTTP/3",
        layers=("debian", "crs"),
        files={
            "/docker-entrypoint.sh": "shims/waf.sh",
            "/opt/lab/waf_rules.py": "shims/waf_rules.py",
        },
        trees={_TEMPLATES: TEMPLATES},
        links={
            "/etc/modsecurity.d/unicode.mapping": "/etc/nginx/unicode.mapping",
            "/var/log/nginx/access.log": "/dev/stdout",
            "/var/log/nginx/error.log": "/dev/stderr",
        },
        users={"nginx": (*_NGINX, "/nonexistent")},
        folders={
            "/etc/modsecurity.d": (*_NGINX, 0o775),
            "/etc/nginx": (*_NGINX, 0o775),
            "/etc/nginx/conf.d": (*_NGINX, 0o775),
            _TEMPLATES: (0, 0, 0o755),
            f"{_TEMPLATES}/conf.d": (0, 0, 0o755),
            f"{_TEMPLATES}/includes": (0, 0, 0o755),
            f"{_TEMPLATES}/modsecurity.d": (0, 0, 0o755),
            **{f"{_TMP}/{name}": (*_NGINX, 0o755) for name in ("data", "tmp", "upload")},
            "/var/log/nginx": (0, 0, 0o755),
            "/var/log/modsecurity/audit": (*_NGINX, 0o755),
        },
        entrypoint=("/docker-entrypoint.sh",),
        command=("nginx", "-g", "daemon off;"),
        env=ENVIRONMENT,
    )
