# lib.sh: what the checks share. A check is a function: it fails with a status that is not 0, in a shell with -eu.

data=/var/lib/berth
run=/run/berth
url=http://127.0.0.1:8080

die() { echo "$*" >&2; exit 1; }
note() { echo "$*" >>"$NOTE"; } # shown beside the check's result, also when it passes

# until_true SECONDS COMMAND…: waits until the command succeeds.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || die "waited in vain for: $*"
    sleep 0.3
  done
}

api() { # METHOD PATH [curl's arguments]
  local method=$1 path=$2
  shift 2
  curl -sS --fail-with-body -X "$method" -H "Authorization: Bearer $(cat $data/admin.token)" "$@" "$url$path"
}

ready() { curl -sf "$url/readyz" >/dev/null; }
state_of() { api GET "/api/v1/sessions/$1" | jq -r .state; }
in_state() { [[ $(state_of "$1") == "$2" ]]; }

# session: makes a session, waits for it, prints its ID.
session() {
  local id
  id=$(api POST /api/v1/sessions -H 'Content-Type: application/json' -d '{"environment":"busybox"}' | jq -r .id)
  until_true 120 in_state "$id" ready
  echo "$id"
}

pid_of() { jq .pid "$run/$1/state.json"; } # a sandbox's first process
group_of() { jq -r '.cgroup.dirs[0].path' "$run/$1/state.json"; }
slot_of() { jq -r .slot "$run/$1/state.json"; }
main_pid() { systemctl show -p MainPID --value berth; }
systemd_version() { systemctl --version | sed -n 's/^systemd \([0-9]*\).*/\1/p'; }

# start_beat ID: starts a program in the session that goes on by itself; beats_on ID: it still does.
start_beat() { berth exec "$1" -- sh -c 'i=0; while :; do i=$((i+1)); echo $i >/root/beat; sleep 0.2; done >/dev/null 2>&1 &'; }
beat() { berth exec "$1" -- cat /root/beat; }
beats_on() {
  local before after
  before=$(beat "$1")
  sleep 2
  after=$(beat "$1")
  ((after > before)) || die "the session's program stands still: $before, then $after"
}

# remnants: all that Berth has made in the kernel and on the disk for sandboxes, one thing a line.
remnants() {
  find /sys/fs/cgroup -mindepth 1 -type d | grep -E '/berth(\.service)?/(sandboxes-)?[0-9a-f]{8}/' || true
  losetup -a | grep -F "$data" || true
  grep -E 'berth' /proc/self/mountinfo | grep -v /opt/berth || true
  ip -o link | grep -o ' berth[0-9]*[@:]' || true
  nft list ruleset | grep -E 'chain .*_[0-9]+ \{' || true
  pgrep -af '^berth sandbox' || true
  find "$data/sessions" "$run" -mindepth 1 -maxdepth 1 -type d || true
}
