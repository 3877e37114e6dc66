#!/usr/bin/env bash
# Runs fuzz targets, one after the other: fuzz/run.sh SECONDS [TARGET…]. What it finds is in fuzz/artifacts, what it learns in
# fuzz/corpus; both are only yours.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
shift || true
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "cargo-fuzz is needed and not installed: cargo install --locked cargo-fuzz" >&2
  exit 1
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "a nightly compiler is needed and not installed: rustup toolchain install nightly --profile minimal" >&2
  exit 1
fi
if [ "$#" -eq 0 ]; then
  set -- cloudevent cron dag filter frame timetable
fi

for target in "$@"; do
  # What decides is built in a minute; the two others need the whole program.
  case $target in cloudevent | frame) features=() ;; *) features=(--no-default-features) ;; esac
  mkdir -p "corpus/$target"
  echo "== $target, $seconds s"
  # Without a sanitizer: unsafe code is forbidden here, and the runs are several times as fast.
  nice -n 10 cargo +nightly fuzz run --sanitizer none "${features[@]}" "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=3 -report_slow_units=1 -rss_limit_mb=1024 -print_final_stats=1 \
    -verbosity=0
done
