#!/usr/bin/env bash
# Prints the path of `nats-server`; installs it on Debian when it is missing.
set -euo pipefail

if command -v nats-server; then exit; fi
if [ -x /usr/sbin/nats-server ]; then echo /usr/sbin/nats-server; exit; fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "nats-server is needed: install the package nats-server" >&2
  exit 1
fi
# Tests run at the same time: one installs, the others wait for it.
exec 9>/tmp/slipstream-nats-server.lock
flock 9
if ! [ -x /usr/sbin/nats-server ] && ! command -v nats-server >/dev/null; then
  # The server that the package would start is not wanted: nothing is configured.
  apt-get -qq update >&2
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nats-server >&2
fi
command -v nats-server || ls /usr/sbin/nats-server
