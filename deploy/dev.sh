#!/usr/bin/env bash
# dev.sh: serves, and builds and serves again whenever a Go file, template or asset changes. Sessions live on.
set -euo pipefail
cd "$(dirname "$0")/.."
trap '[ -n "${pid:-}" ] && kill "$pid" 2>/dev/null; exit 0' INT TERM
stamp() { find . -path ./.git -prune -o \( -name '*.go' -o -name '*.css' -o -name '*.js' -o -name '*.yaml' \) -printf '%T@ %p\n' | sort | sha256sum; }
while :; do
  before=$(stamp)
  if make -s build; then
    bin/berth serve --on-exit=keep "$@" &
    pid=$!
  fi
  while [ "$(stamp)" = "$before" ]; do sleep 1; done
  if [ -n "${pid:-}" ]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
  fi
  pid=
done
