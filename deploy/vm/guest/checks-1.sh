# checks-1.sh: the first boot. Berth is installed, used, restarted, killed, stopped; the last check leaves sessions behind.

checks=(
  controllers_are_version_2 install_as_an_operator make_image doctor_has_all_it_needs service_becomes_ready
  command_runs_and_its_status_comes_back groups_are_where_they_belong limits_are_set memory_bomb_is_killed
  fork_bomb_is_refused docker_and_its_limits session_cannot_escape_the_oom_killer network_reaches_out_and_nothing_private
  restart_keeps_sessions kill_keeps_sessions stop_keeps_sessions lost_run_directory_is_swept
  end_of_all_leaves_nothing apparmor unit_tests leave_sessions_for_the_next_boot
)

controllers_are_version_2() {
  [[ $(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]]
  note "controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
}

install_as_an_operator() {
  install -m 0755 bin/* /usr/local/bin
  install -D -m 0644 environments.yaml /etc/berth/environments.yaml
  install -m 0644 deploy/systemd/berth.service /etc/systemd/system
  systemctl daemon-reload
  systemctl enable berth
  systemd-analyze verify berth.service
}

make_image() {
  BERTH=/usr/local/bin/berth BERTH_IMAGES=busybox BERTH_REGISTRY='' deploy/images.sh
  berth image ls busybox
}

doctor_has_all_it_needs() {
  berth doctor
  berth doctor --json | jq -e 'all(.[]; .must and .status == "missing" | not)'
  berth doctor --json | jq -e '.[] | select(.name == "cgroups") | .detail | startswith("version 2")'
  berth doctor --json | jq -r '.[] | select(.status != "ok") | "\(.status): \(.name): \(.detail)"' >>"$NOTE"
}

service_becomes_ready() {
  local began=$SECONDS
  systemctl start berth
  until_true 180 ready
  note "ready after $((SECONDS - began)) s"
  systemctl is-active berth
}

command_runs_and_its_status_comes_back() {
  local out status=0
  out=$(berth run busybox -- sh -c 'nproc; id -u; cat /sys/fs/cgroup/memory.max; echo hi; exit 7') || status=$?
  echo "$out"
  [[ $status == 7 ]] || die "exit status $status"
  [[ $(paste -sd' ' <<<"$out") == "1 0 "*" hi" ]] || die "not what was expected"
}

# With systemd 254 and later the service stands in a leaf of its own and sandboxes beside it, in the service's group.
# Before, nothing of them may be in the service's group, or it could not be started again.
groups_are_where_they_belong() {
  id=$(session)
  local group want=/sys/fs/cgroup/berth/
  group=$(group_of "$id")
  (($(systemd_version) < 254)) || want=/sys/fs/cgroup/system.slice/berth.service/
  systemd-cgls --no-pager "${want%/}"
  [[ $group == "$want"* ]] || die "the session's group is $group, wanted below $want"
  note "below ${want#/sys/fs/cgroup}, the server in $(cut -d: -f3 "/proc/$(main_pid)/cgroup")"
  [[ $(cat "/proc/$(pid_of "$id")/cgroup") == "0::${group#/sys/fs/cgroup}/engine" ]]
  grep -q . "$group/payload/workspace/cgroup.procs"
  berth rm "$id"
}

limits_are_set() {
  id=$(session)
  local group
  group=$(group_of "$id")
  limits_are_as_set "$group"
  [[ $(cat "$group/cpuset.cpus.effective") =~ ^[01]$ ]] || die "CPUs $(cat "$group/cpuset.cpus.effective")"
  # What a visitor finds of the tree, and may write to, is below them.
  berth exec "$id" -- sh -c 'mount -t cgroup2 none /mnt; cat /proc/self/cgroup; ls /mnt
    for f in memory.max memory.swap.max pids.max cpu.max cpuset.cpus; do echo max >/mnt/$f; done' || true
  limits_are_as_set "$group"
  berth rm "$id"
}

limits_are_as_set() {
  local file want
  while read -r file want; do
    [[ $file == memory.swap.max && ! -e $1/$file ]] && continue
    [[ $(cat "$1/$file") == "$want" ]] || die "$file is $(cat "$1/$file"), wanted $want"
  done <<'END'
memory.max 134217728
memory.swap.max 0
pids.max 100
cpu.max 100000 100000
payload/memory.max 109051904
payload/pids.max 68
END
}

memory_bomb_is_killed() {
  id=$(session)
  local status=0 kills
  berth exec "$id" -- tail /dev/zero || status=$?
  [[ $status == 137 ]] || die "exit status $status, wanted 137"
  kills=$(sed -n 's/^oom_kill //p' "$(group_of "$id")/memory.events")
  ((kills > 0)) || die "the kernel has counted no kill"
  [[ $(berth exec "$id" -- echo alive) == alive ]]
  systemctl is-active berth
  berth rm "$id"
}

fork_bomb_is_refused() {
  id=$(session)
  local refused
  berth exec "$id" -- sh -c 'i=0; while [ $i -lt 200 ]; do sleep 20 & i=$((i+1)); done' && die "200 processes were allowed"
  # Before kernel 6.11 a refusal is counted where the process is, later where the limit is.
  refused=$(find "$(group_of "$id")" -name pids.events -exec sed -n 's/^max //p' {} + | sort -n | tail -n 1)
  ((refused > 0)) || die "the kernel has refused none"
  [[ $(berth exec "$id" -- echo alive) == alive ]] || until_true 60 berth exec "$id" -- echo alive
  berth rm "$id"
}

# Containers in a session stand below its payload, with limits of their own.
docker_and_its_limits() {
  id=$(session)
  local out
  [[ $(berth exec "$id" -- docker run --rm busybox echo hi) == hi ]]
  [[ $(berth exec "$id" -- sh -c 'printf "FROM busybox\nRUN echo one >/f\nRUN cat /proc/self/cgroup >>/f\n" | DOCKER_BUILDKIT=0 docker build -qt built - >/dev/null && docker run --rm built head -1 /f') == one ]]
  berth exec "$id" -- docker run -d --name box --memory 32m --pids-limit 20 --cpus 0.5 --cpu-shares 512 busybox sleep 999
  out=$(berth exec "$id" -- docker exec box sh -c 'cd /sys/fs/cgroup; cat memory.max memory.swap.max pids.max cpu.max cpu.weight cgroup.procs | paste -sd" "')
  note "in the container: $out"
  # 512 shares are a weight of 59 to a newer runc, of 20 to an older one.
  [[ $out =~ ^33554432\ (0|33554432)\ 20\ 50000\ 100000\ (59|20)\ 1\  ]] || die "limits: $out"
  find "$(group_of "$id")/payload" -name memory.max -exec grep -l 33554432 {} + || die "no group of the session has the container's limit"
  berth exec "$id" -- docker pause box
  [[ $(berth exec "$id" -- docker inspect -f '{{.State.Status}}' box) == paused ]]
  berth exec "$id" -- docker unpause box
  berth exec "$id" -- docker update --memory 48m --memory-swap 48m --pids-limit 30 box
  [[ $(berth exec "$id" -- docker exec box cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max | paste -sd' ') == "50331648 30" ]]
  berth exec "$id" -- docker stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' | tee -a "$NOTE" | grep -q '^box .*/ 48MiB 1$'
  local status=0
  berth exec "$id" -- docker run --name bomb --memory 24m busybox tail /dev/zero || status=$?
  [[ $status == 137 ]] || die "the memory bomb's status is $status"
  [[ $(berth exec "$id" -- docker inspect -f '{{.State.OOMKilled}}' bomb) == true ]]
  berth exec "$id" -- docker rm -f box bomb
  [[ $(find "$(group_of "$id")/payload" -mindepth 1 -type d | wc -l) == 1 ]] || die "groups are left: $(find "$(group_of "$id")/payload" -type d)"
  berth rm "$id"
}

# The unit protects the server from the kernel's choice when memory is short; that must not be handed on to visitors.
session_cannot_escape_the_oom_killer() {
  id=$(session)
  note "server $(cat "/proc/$(main_pid)/oom_score_adj"), engine $(cat "/proc/$(pid_of "$id")/oom_score_adj"), session $(berth exec "$id" -- cat /proc/self/oom_score_adj)"
  [[ $(cat "/proc/$(main_pid)/oom_score_adj") == -500 ]]
  [[ $(cat "/proc/$(pid_of "$id")/oom_score_adj") == 0 ]] || die "the engine is protected like the server"
  if berth exec "$id" -- sh -c 'echo -1 >/proc/self/oom_score_adj'; then die "a visitor may protect programs"; fi
  berth rm "$id"
}

# A namespace plays the internet, at an address that is a public one. (timeout: with -T Debian's busybox wget crashes.)
network_reaches_out_and_nothing_private() {
  mkdir -p /tmp/www && echo from-outside >/tmp/www/index.html
  ip netns add internet
  ip link add outside type veth peer name eth0 netns internet
  ip addr add 1.2.3.1/24 dev outside && ip link set outside up
  ip -n internet addr add 1.2.3.4/24 dev eth0 && ip -n internet addr add 10.9.9.9/32 dev eth0
  ip -n internet link set eth0 up && ip -n internet link set lo up
  ip route add 10.9.9.9/32 dev outside
  ip netns exec internet busybox httpd -f -p 80 -h /tmp/www &
  local servers=($!)
  busybox httpd -f -p 8081 -h /tmp/www & # the host's own
  servers+=($!)
  until_true 20 curl -sf -o /dev/null http://10.9.9.9/
  until_true 20 curl -sf -o /dev/null http://1.2.3.1:8081/
  id=$(session)
  note "$(nft list tables | paste -sd' '), ip_forward $(cat /proc/sys/net/ipv4/ip_forward), link berth$(slot_of "$id")"
  nft list tables | grep -q berth_
  ip link show "berth$(slot_of "$id")"
  [[ $(fetch http://1.2.3.4/) == from-outside ]] || die "the outside is not reached"
  local gateway url
  gateway=$(berth exec "$id" -- sed -n 's/^nameserver //p' /etc/resolv.conf)
  for url in http://10.9.9.9/ http://1.2.3.1:8081/ "http://$gateway:8081/"; do
    if fetch "$url"; then die "$url is reached"; fi
  done
  berth exec "$id" -- nc -w 10 "$gateway" 53 </dev/null || die "no name server at $gateway"
  berth rm "$id"
  kill "${servers[@]}"
  ip netns del internet
}
fetch() { berth exec "$id" -- timeout 8 wget -qO- "$1"; }

# survives COMMAND…: a session and its program must not notice the command.
survives() {
  id=$(session)
  start_beat "$id"
  beats_on "$id"
  local pid
  pid=$(pid_of "$id")
  "$@"
  berth ls
  berth ls --json | jq -e --arg id "$id" 'any(.[]; .id == $id and .state == "ready")' >/dev/null || die "session $id is lost"
  [[ $(pid_of "$id") == "$pid" ]]
  beats_on "$id"
  berth rm "$id"
}

restart_keeps_sessions() { survives restart; }
restart() {
  systemctl restart berth
  until_true 120 ready
}

kill_keeps_sessions() { survives kill_server; }
kill_server() {
  local old
  old=$(main_pid)
  kill -9 "$old"
  until_true 60 other_pid "$old"
  until_true 120 ready
}
other_pid() { [[ $(main_pid) != "$1" && $(main_pid) != 0 ]]; }

stop_keeps_sessions() { survives stop_and_start; }
stop_and_start() {
  systemctl stop berth
  pgrep -f "^berth sandbox $id" || die "the sandbox ended with the server"
  systemctl start berth
  until_true 120 ready
}

# As after a crash of the machine: no processes, no run directory, but a data directory with leftovers.
lost_run_directory_is_swept() {
  id=$(session)
  systemctl stop berth
  pkill -KILL -f '^berth sandbox'
  rm -rf $run
  [[ -e $data/sessions/$id/disk.img ]]
  systemctl start berth
  until_true 120 ready
  [[ ! -e $data/sessions/$id ]] || die "its disk is left"
  if remnants | grep "$id"; then die "something is left of it"; fi
  berth run busybox -- true
}

end_of_all_leaves_nothing() {
  mkdir -p /run/systemd/system/berth.service.d
  cat >/run/systemd/system/berth.service.d/end.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/local/bin/berth serve --addr 127.0.0.1:8080 --environments /etc/berth/environments.yaml --on-exit=end
END
  systemctl daemon-reload
  systemctl restart berth
  until_true 120 ready
  session
  systemctl stop berth
  local left
  left=$(remnants)
  [[ -z $left ]] || die "left: $left"
  note "nft: $(nft list tables | grep -c berth_) table of berth"
  rm -r /run/systemd/system/berth.service.d
  systemctl daemon-reload
  systemctl start berth
  until_true 120 ready
}

# Reported, not judged: Debian confines neither the server nor what it starts.
apparmor() {
  id=$(session)
  note "AppArmor in the kernel: $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null || echo no); sandbox: $(cat "/proc/$(pid_of "$id")/attr/current" 2>/dev/null || echo none)"
  note "restrict_unprivileged_userns: $(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null || echo absent)"
  berth rm "$id"
}

# In /var/tmp: with trixie /tmp is half of the memory, less than a server wants to have free.
unit_tests() {
  local t failed=
  cp -r $data/images /opt/berth/tests/
  for t in tests/*; do
    [[ -f $t ]] || continue
    if (cd /var/tmp && TMPDIR=/var/tmp BERTH_TEST_BIN=/usr/local/bin BERTH_TEST_IMAGES=/opt/berth/tests "/opt/berth/$t" -test.timeout 25m -test.v >/tmp/unit.log 2>&1); then
      note "${t#tests/}: $(grep -c '^ *--- PASS' /tmp/unit.log) passed, $(grep -c '^ *--- SKIP' /tmp/unit.log) skipped"
    else
      failed+=" $t"
      grep -v -E '^ *(=== |--- (PASS|SKIP))' /tmp/unit.log | tail -n 60
    fi
  done
  [[ -z $failed ]] || die "failed:$failed"
}

leave_sessions_for_the_next_boot() {
  id=$(session)
  start_beat "$id"
  echo "$id" >$state/left
}
