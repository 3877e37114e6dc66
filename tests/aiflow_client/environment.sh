#!/usr/bin/env bash
# Makes an environment with the unmodified client of AIFlow's notification service 0.3.1 and what it needs from its time;
# prints its interpreter. Usage: environment.sh FOLDER
set -euo pipefail
folder=$1
needs=(grpcio 'protobuf<3.21' 'googleapis-common-protos<1.57' python-dateutil cachetools 'sqlalchemy<2' pyyaml requests)
if [ ! -e "$folder/ready" ]; then
    if command -v uv >/dev/null; then
        uv venv --quiet --clear --python 3.11 "$folder"
        install=(uv pip install --quiet --python "$folder/bin/python")
    else
        python3.11 -m venv --clear "$folder"
        install=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check)
    fi
    "${install[@]}" "${needs[@]}"
    "${install[@]}" --no-deps 'notification-service==0.3.1'
    touch "$folder/ready"
fi
echo "$folder/bin/python"
