#!/usr/bin/env bash
# Runs a command with PG_ADMIN_URL set: to the server that it names already, or to a private one in a temporary directory
# that is stopped and removed when the command ends. Installs PostgreSQL on Debian when it is missing.
set -euo pipefail

if [ -n "${PG_ADMIN_URL:-}" ] && command -v psql >/dev/null && psql "$PG_ADMIN_URL" -Atc 'select 1' >/dev/null 2>&1; then
  exec "$@"
fi

bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }
if [ -z "$(bin)" ] && ! command -v initdb >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "PostgreSQL is needed: install it, or set PG_ADMIN_URL to a server where databases may be made" >&2
    exit 1
  fi
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql postgresql-client >/dev/null
fi
export PATH="$(bin):$PATH"

dir=$(mktemp -d /tmp/slipstream-pg.XXXXXX)
# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
  chown postgres "$dir"
  as=(runuser -u postgres --)
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
trap '"${as[@]}" "$(command -v pg_ctl)" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"${as[@]}" "$(command -v initdb)" -D "$dir/data" -U postgres -A trust --no-sync >/dev/null
# Nothing in it outlives the tests: it need not survive a power cut.
"${as[@]}" "$(command -v pg_ctl)" -D "$dir/data" -l "$dir/log" -w start >/dev/null \
  -o "-p $port -k $dir -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300"
export PG_ADMIN_URL="postgresql://postgres@127.0.0.1:$port/postgres"
"$@"
