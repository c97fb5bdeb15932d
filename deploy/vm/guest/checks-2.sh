# checks-2.sh: after a reboot in the middle of sessions. The machine has no process and no /run of theirs any more.

checks=(service_is_up_again leftovers_are_swept command_runs)

service_is_up_again() {
  note "the reboot took $(($(date +%s) - $(cat $state/reboot) - 0)) s, of which $(cut -d. -f1 /proc/uptime) s to boot"
  until_true 180 ready
  systemctl is-active berth
}

leftovers_are_swept() {
  local old
  old=$(cat $state/left)
  in_state "$old" ended || die "session $old of the last boot is $(state_of "$old")"
  note "it is told: $(api GET "/api/v1/sessions/$old" | jq -r '"\(.state) (\(.reason)) \(.message // "")"')"
  if remnants | grep "$old"; then die "something is left of it"; fi
}

command_runs() {
  local status=0
  berth run busybox -- sh -c 'exit 7' || status=$?
  [[ $status == 7 ]] || die "exit status $status"
}
