#!/usr/bin/env bash
# Plays the page in a headless Chromium, with a deployment of its own. Installs the browser and Selenium where they are missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null
fi
if [ ! -x .cache/selenium/bin/python ]; then
  python3 -m venv .cache/selenium
  .cache/selenium/bin/pip install --quiet --disable-pip-version-check 'selenium>=4.30,<5'
fi
exec .cache/selenium/bin/python tests/ui/page.py "$@"
