#!/bin/sh
# Installs the agent that was unpacked beside this script. Runs on the VM, POSIX sh, without questions.
# Prints one line of JSON at the end: {"ok", "python", "how"} or {"ok": false, "error", "detail"}.
# Running it again replaces the agent and leaves exactly one.

umask 077
new=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$new/common.sh"
holds_lock=

finish() {
  rm -rf "$new"
  if [ -n "$holds_lock" ]; then rm -rf "$base/lock"; fi
}

fail() {
  detail=$(printf '%s' "$2" | tr -cd 'A-Za-z0-9 ._:/=(),-' | cut -c1-300)
  finish
  printf '{"ok":false,"error":"%s","detail":"%s"}\n' "$1" "$detail"
  exit 1
}
trap 'fail interrupted "the installation was interrupted"' HUP INT TERM

take_lock() {
  tries=0
  until mkdir "$base/lock" 2>/dev/null; do
    # A holder that is gone, or that never wrote its number, left the lock behind.
    if [ -s "$base/lock/pid" ] || [ "$tries" -gt 20 ]; then
      ours "$base/lock/pid" /install.sh >/dev/null || rm -rf "$base/lock"
    fi
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then fail busy "another installation holds $base/lock"; fi
    nap
  done
  holds_lock=1
  echo $$ >"$base/lock/pid"
}

find_python() {
  for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3.7 python3.6 \
    /usr/libexec/platform-python python; do
    python=$("$name" -ISB -c 'import json, select, ssl, sys, zipimport
if sys.version_info < (3, 6): sys.exit(1)
print(sys.executable)' 2>/dev/null) && [ -x "$python" ] && return 0
  done
  return 1
}

# Room for the agent and a little spool; the whole spool is bounded by the agent itself.
check_space() {
  free=$(df -Pk "$base" 2>/dev/null | awk 'NR == 2 { print $4 }')
  case $free in '' | *[!0-9]*) return 0 ;; esac
  if [ "$free" -lt 4096 ]; then fail disk-full "only $free KiB are free at $base"; fi
}

move_into_place() {
  mkdir -p "$agent" || fail no-permission "cannot make $agent"
  echo "$python" >"$new/python" || fail disk-full "cannot write to $new"
  # Renames: whoever reads one of these sees the old file or the new one, never a part.
  for file in run.sh version ca.pem python agent.pyz agent.json; do
    mv -f "$new/$file" "$agent/$file" || fail no-permission "cannot move $file to $agent"
  done
}

unit_text() {
  cat <<UNIT
[Unit]
Description=mcisd agent
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart="$python" -ISB "$agent/agent.pyz" --config "$agent/agent.json"
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=64
SuccessExitStatus=64
NoNewPrivileges=yes
MemoryMax=64M
$1

[Install]
WantedBy=$2
UNIT
}

start_system() {
  [ -z "${MCISD_LOCAL_VM:-}" ] && [ -d "$root/run/systemd/system" ] && as_root true >/dev/null 2>&1 || return 1
  hardening="User=$(id -un)
ProtectSystem=strict
ReadWritePaths=$agent
PrivateTmp=yes
ProtectKernelModules=yes
RestrictSUIDSGID=yes"
  unit_text "$hardening" multi-user.target >"$new/$unit" || return 1
  chmod 644 "$new/$unit"
  as_root cp "$new/$unit" "$system_unit" && as_root systemctl daemon-reload >/dev/null 2>&1 &&
    as_root systemctl enable "$unit" >/dev/null 2>&1 && as_root systemctl restart "$unit" >/dev/null 2>&1 && return 0
  drop_system_unit
  return 1
}

start_user() {
  [ -z "${MCISD_LOCAL_VM:-}" ] && command -v loginctl >/dev/null 2>&1 || return 1
  XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"
  export XDG_RUNTIME_DIR
  systemctl --user show-environment >/dev/null 2>&1 && loginctl enable-linger >/dev/null 2>&1 || return 1
  mkdir -p "${user_unit%/*}" && unit_text "" default.target >"$user_unit" &&
    systemctl --user daemon-reload >/dev/null 2>&1 && systemctl --user enable "$unit" >/dev/null 2>&1 &&
    systemctl --user restart "$unit" >/dev/null 2>&1 && return 0
  drop_user_unit
  return 1
}

start_loop() {
  line="/bin/sh '$agent/run.sh' start $mark"
  how=loop
  if [ -n "${MCISD_LOCAL_VM:-}" ]; then
    boot="$HOME/.rc.local"
    [ -f "$boot" ] || echo '#!/bin/sh' >"$boot"
    echo "$line" >>"$boot" && chmod 700 "$boot" && how=rc.local
  elif command -v crontab >/dev/null 2>&1 &&
    { crontab -l 2>/dev/null; echo "@reboot $line"; } | crontab - >/dev/null 2>&1; then
    how=cron
  fi
  /bin/sh "$agent/run.sh" start
}

# The agent counts as up when the same process has been there for a second.
alive() {
  case $how in
    systemd-system) as_root systemctl is-active --quiet "$unit" ;;
    systemd-user) systemctl --user is-active --quiet "$unit" ;;
    *) ours "$agent/agent.pid" "$agent/agent.pyz" >/dev/null ;;
  esac
}

verify() {
  tries=0
  until alive; do
    tries=$((tries + 1))
    if [ "$tries" -gt 50 ]; then return 1; fi
    nap
  done
  before=$(cat "$agent/agent.pid" 2>/dev/null)
  sleep 1
  alive && [ "$before" = "$(cat "$agent/agent.pid" 2>/dev/null)" ]
}

take_lock
find_python || fail no-python "no python3 of version 3.6 or newer with ssl"
check_space
stop_agents
drop_all
move_into_place
rm -f "$agent/agent.log"
if start_system; then how=systemd-system; elif start_user; then how=systemd-user; else start_loop; fi
if ! verify; then
  said=$(tail -n 1 "$agent/agent.log" 2>/dev/null)
  stop_agents
  drop_all
  fail agent-died "${said:-it ended at once without a word}"
fi
version=$("$python" -ISB -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
finish
printf '{"ok":true,"python":"%s","how":"%s"}\n' "$version" "$how"
