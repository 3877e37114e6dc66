#!/usr/bin/env bash
# Builds the wheel, installs it into a clean environment that has Airflow, and lets the command found there run Dags.
# wheel.sh [cargo profile]
set -euo pipefail
cd "$(dirname "$0")/../.."
profile=${1:-release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/builder"
"$work/builder/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9,<2'
"$work/builder/bin/maturin" build --profile "$profile" --out "$work/wheels"

tests/support/venv.sh "$work/env" requirements.lock
if command -v uv >/dev/null; then
  uv pip install --quiet --python "$work/env/bin/python" "$work"/wheels/*.whl
else
  "$work/env/bin/python" -m pip install --quiet "$work"/wheels/*.whl
fi

# From a folder and with a path that know nothing of this clone: what is used is what was installed.
cd "$work"
export PATH=/usr/bin:/bin
unset VIRTUAL_ENV PYTHONPATH
"$work/env/bin/slipstream" --version
"$work/env/bin/python" -c 'import slipstream; print(slipstream.__file__)'
AIRFLOW_BIN="$work/env/bin" SLIPSTREAM_BIN="$work/env/bin/slipstream" \
  "$work/env/bin/python" "$OLDPWD/tests/conformance/conformance.py" run --engine slipstream --db sqlite --cases "${CASES:-xcom/*}"
