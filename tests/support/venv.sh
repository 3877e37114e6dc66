#!/usr/bin/env bash
# Makes a virtual environment with the packages of a lock file: venv.sh FOLDER LOCKFILE. Does nothing when it is in step.
set -euo pipefail
venv=$1 lock=$2
want=$(sha256sum "$lock" | cut -d' ' -f1)
if [ -x "$venv/bin/airflow" ] && [ "$(cat "$venv/.lock-sha256" 2>/dev/null)" = "$want" ]; then exit 0; fi

# PyPI's bytecode is made at installation: Airflow then starts in half the time.
unset PYTHONDONTWRITEBYTECODE
if command -v uv >/dev/null; then
  [ -x "$venv/bin/python" ] || uv venv --quiet --python 3.11 "$venv"
  uv pip install --quiet --compile-bytecode --python "$venv/bin/python" -r "$lock"
else
  [ -x "$venv/bin/python" ] || python3.11 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --compile -r "$lock"
fi
echo "$want" > "$venv/.lock-sha256"
