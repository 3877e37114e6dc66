#!/usr/bin/env bash
# Makes an environment with the unmodified client of AIFlow's notification service 0.3.1 and what it needs from its time;
# prints its interpreter. Usage: environment.sh FOLDER
set -euo pipefail
folder=$1
if [ ! -e "$folder/ready" ]; then
    uv venv --quiet --clear --python 3.11 "$folder"
    uv pip install --quiet --python "$folder/bin/python" 'grpcio' 'protobuf<3.21' 'googleapis-common-protos<1.57' \
        'python-dateutil' 'cachetools' 'sqlalchemy<2' 'pyyaml' 'requests'
    uv pip install --quiet --no-deps --python "$folder/bin/python" 'notification-service==0.3.1'
    touch "$folder/ready"
fi
echo "$folder/bin/python"
