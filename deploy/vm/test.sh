#!/usr/bin/env bash
# test.sh: boots a Debian with systemd and control groups of version 2 in qemu, installs Berth in it as an operator would,
# and runs guest/checks*.sh inside. No KVM is needed: it emulates, about ten times slower than the machine. It fails when
# a check fails, when the time is up, or when the guest powers off before all checks are done.
# test.sh shell: a root shell in the same machine instead; what is on the second disk: tar -x -C /opt/berth -f /dev/vdb.
#
#   BERTH_VM_SUITE   bookworm (systemd 252) or trixie (257)
#   BERTH_VM_CACHE   where the machine's image is kept (.cache/vm)
#   BERTH_VM_TIME    time limit (60m)
#   BERTH_VM_TESTS   packages whose unit tests run inside; they take most of the time
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=${BERTH_VM_SUITE:-bookworm}
cache=${BERTH_VM_CACHE:-.cache/vm}/$suite
limit=${BERTH_VM_TIME:-60m}
# What differs most between machines.
packages=${BERTH_VM_TESTS-quotas/cgroup quotas/disk quotas/network doctor runtime/imagecache/unpack runtime/sandbox runtime/engine/container}

[[ $EUID == 0 ]] || { echo "vm: needs root to make the machine's image" >&2; exit 1; }
deploy/vm/image.sh "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/payload"/{bin,tests,deploy}
cp bin/berth bin/runc bin/docker-init bin/docker-exec bin/docker "$work/payload/bin"
cp -r deploy/systemd deploy/images.sh "$work/payload/deploy"
cp deploy/vm/guest/* "$work/payload"
for p in $packages; do
  CGO_ENABLED=0 go test -c -trimpath -ldflags '-s -w' -o "$work/payload/tests/${p//\//-}" "./$p"
done
tar -C "$work/payload" -cf "$work/payload.tar" .
truncate -s %1M "$work/payload.tar" # a disk has whole sectors

kernel_args="root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=10"
serial=(-serial "file:$work/console" -serial "file:$work/results")
if [[ ${1:-} == shell ]]; then
  kernel_args+=" systemd.mask=berth-checks.service systemd.debug_shell=ttyS1"
  serial=(-serial "file:$work/console" -serial mon:stdio)
fi

machine() {
  qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nodefaults -display none \
    -kernel "$cache/vmlinuz" -initrd "$cache/initrd" -append "$kernel_args" \
    -drive "file=$cache/disk.img,format=raw,if=virtio,snapshot=on" \
    -drive "file=$work/payload.tar,format=raw,if=virtio,readonly=on" \
    -nic user,model=virtio-net-pci,restrict=on "${serial[@]}"
}

if [[ ${1:-} == shell ]]; then
  machine
  exit
fi

start=$SECONDS
touch "$work/results"
export -f machine
export cache work kernel_args
tail -n +1 -f "$work/results" & # what is happening, while it happens
tail=$!
status=0
timeout -k 10 "$limit" bash -c "$(declare -p serial); machine" </dev/null || status=$?
sleep 1 # tail shows the last line
kill "$tail"
wait "$tail" 2>/dev/null || true

if [[ $status == 0 ]] && grep -q '^all [0-9]* checks passed' "$work/results"; then
  echo "vm: $suite: passed in $((SECONDS - start)) s"
  exit 0
fi
mkdir -p "$cache/failed"
cp "$work/console" "$work/results" "$cache/failed"
echo "vm: last lines of the console:" >&2
tail -n 60 "$work/console" >&2
case $status in
  124 | 137) echo "vm: $suite: not done after $limit" >&2 ;;
  *) echo "vm: $suite: failed; all logs are in $cache/failed" >&2 ;;
esac
exit 1
