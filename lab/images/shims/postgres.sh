#!/bin/bash
# The part of the official image's entrypoint that the platform uses: makes the cluster where PGDATA is empty, with the
# superuser's password from POSTGRES_PASSWORD_FILE, then becomes the command.
set -eu
export PATH="/usr/lib/postgresql/17/bin:$PATH"

if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  [ "$(id -u)" != 0 ] || { echo "initdb refuses to run as root" >&2; exit 1; }
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA"
  initdb --username="${POSTGRES_USER:-postgres}" --pwfile="$POSTGRES_PASSWORD_FILE" --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=trust --auth-host=scram-sha-256 --no-sync --pgdata="$PGDATA" >/dev/null
  echo "PostgreSQL init process complete; ready for start up."
fi
exec "$@"
