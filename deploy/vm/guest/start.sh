#!/bin/bash
# start.sh: runs the checks of this boot, each in a shell of its own, and writes one line for each to the second serial
# port. checks-1.sh is for the first boot; what it leaves running meets checks-2.sh after a reboot.
set -uo pipefail
cd "$(dirname "$0")"
export PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root LC_ALL=C.UTF-8
state=/var/lib/berth-checks
mkdir -p "$state"

say() { echo "$*" >/dev/ttyS1; }

# run FUNCTION: tells whether it passed, how long it took, what it noted, and all that it said where it did not.
run() {
  local began=$EPOCHREALTIME log=$state/log status took
  NOTE=$state/note
  : >"$NOTE"
  (
    set -eu
    "$1"
  ) >"$log" 2>&1
  status=$?
  took=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  echo "--- $1: $status" && cat "$log" # to the console
  if [[ $status == 0 ]]; then
    say "ok    $1 (${took} s)"
    sed 's/^/      /' "$NOTE" >/dev/ttyS1
    echo "$1" >>"$state/passed"
    return
  fi
  say "FAIL  $1 (${took} s): status $status"
  { sed 's/^/      /' "$NOTE" && tail -n 80 "$log" | sed 's/^/    | /'; } >/dev/ttyS1
  echo "$1" >>"$state/failed"
}

finish() {
  if [[ -e $state/failed ]]; then
    journalctl --no-pager -b -u berth -n 60 | sed 's/^/    j /' >/dev/ttyS1
    say "$(wc -l <"$state/failed") of $(cat "$state/passed" "$state/failed" | wc -l) checks failed: $(paste -sd' ' "$state/failed")"
  else
    say "all $(wc -l <"$state/passed") checks passed"
  fi
  sync
  systemctl --no-block poweroff
}

. ./lib.sh
boot=$(($(cat "$state/boot" 2>/dev/null || echo 0) + 1))
echo "$boot" >"$state/boot"
say "boot $boot: $(. /etc/os-release && echo "$PRETTY_NAME"), kernel $(uname -r), $(systemctl --version | head -n 1), up $(cut -d. -f1 /proc/uptime) s"
. "./checks-$boot.sh"
for check in "${checks[@]}"; do run "$check"; done
if [[ -e checks-$((boot + 1)).sh ]]; then
  date +%s >"$state/reboot"
  sync
  systemctl --no-block reboot
else
  finish
fi
