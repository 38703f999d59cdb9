"""Postgres: who may connect, and the roles and databases that each start makes true."""

from collections.abc import Mapping
from typing import Final

DATABASES: Final = ("agents", "litellm", "n8n")
"""Each belongs to the role of its name."""

ROLES: Final = ("admin", "exporter", "backup", *DATABASES)
"""Each has a generated password; `admin` is the superuser `postgres`."""

PG_HBA: Final = """\
# TLS ends at the proxy in front, which lets in only the services that may call.
local all postgres peer
host agents agents 0.0.0.0/0 scram-sha-256
host litellm litellm 0.0.0.0/0 scram-sha-256
host n8n n8n 0.0.0.0/0 scram-sha-256
host postgres exporter 0.0.0.0/0 scram-sha-256
host all backup 0.0.0.0/0 scram-sha-256
host all all all reject
"""

START: Final = """\
set -eu
# Passwords follow the secrets epoch, so that roles are set at each start and not when the data was new only.
(
  until pg_isready --quiet --host /var/run/postgresql; do sleep 0.2; done
  until psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --host /var/run/postgresql --username postgres \\
    --file /config/roles.sql; do sleep 1; done
) &
exec docker-entrypoint.sh postgres -c listen_addresses='*' -c hba_file=/config/pg_hba.conf \\
  -c password_encryption=scram-sha-256 -c log_connections=on -c log_statement=none
"""
"""The container's start script, which its image's own entrypoint ends in."""


def postgres_roles(passwords: Mapping[str, str]) -> str:
    """SQL that can run again and again; `passwords` by role. Passwords hold letters and digits only."""
    lines = [
        # A failed statement is logged with its text, and these hold passwords.
        "SET log_min_error_statement = 'panic';",
        "SET log_statement = 'none';",
    ]
    roles = {"postgres": passwords["admin"], **{r: p for r, p in passwords.items() if r != "admin"}}
    for role, password in roles.items():
        if not password.isalnum():
            raise ValueError(f"the password of role {role!r} holds more than letters and digits")
        if role != "postgres":
            lines.append(
                f"SELECT 'CREATE ROLE {role} LOGIN' WHERE NOT EXISTS "
                f"(SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec"
            )
        lines.append(f"ALTER ROLE {role} PASSWORD '{password}';")
    for database in DATABASES:
        lines += [
            f"SELECT 'CREATE DATABASE {database} OWNER {database}' WHERE NOT EXISTS "
            f"(SELECT FROM pg_database WHERE datname = '{database}') \\gexec",
            f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;",
            f"GRANT CONNECT ON DATABASE {database} TO backup;",
        ]
    lines += ["GRANT pg_monitor TO exporter;", "GRANT pg_read_all_data TO backup;", ""]
    return "\n".join(lines)
