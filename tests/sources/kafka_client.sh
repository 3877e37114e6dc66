#!/usr/bin/env bash
# Makes an environment with Kafka's client for Python; prints its interpreter. Usage: kafka_client.sh FOLDER
set -euo pipefail
folder=$1
if [ ! -e "$folder/ready" ]; then
  python3 -m venv --clear "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check 'confluent-kafka>=2.5,<3' >&2
  touch "$folder/ready"
fi
echo "$folder/bin/python"
