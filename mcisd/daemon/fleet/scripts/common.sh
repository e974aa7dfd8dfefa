# Shared by install.sh and remove.sh: where the agent lives, how it is stopped, how lines are taken out of files.
# POSIX sh. MCISD_ROOT is empty on a real host; tests put another root before the system's folders.

base="$HOME/.mcisd"
agent="$base/agent"
mark="# mcisd-agent"
root="${MCISD_ROOT:-}"
unit=mcisd-agent.service
system_unit="$root/etc/systemd/system/$unit"
user_unit="$HOME/.config/systemd/user/$unit"

nap() { sleep 0.1 2>/dev/null || sleep 1; }

# as_root COMMAND...: run it with root's rights, or fail without asking for a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n -- "$@"; fi
}

# ours FILE TEXT: print the process id in FILE if that process runs and has TEXT in its command line.
ours() {
  read -r ours_pid 2>/dev/null <"$1" || return 1
  [ -n "$ours_pid" ] && tr '\0' ' ' <"/proc/$ours_pid/cmdline" 2>/dev/null | grep -qF -- "$2" && echo "$ours_pid"
}

# strays: process ids of agents of this installation, whoever started them.
strays() {
  for stray_file in $(grep -lF -- "$agent/agent.pyz" /proc/[0-9]*/cmdline 2>/dev/null); do
    if tr '\0' ' ' <"$stray_file" 2>/dev/null | grep -qF -- "$agent/agent.pyz --config"; then
      stray_pid=${stray_file#/proc/}
      echo "${stray_pid%/cmdline}"
    fi
  done
}

# end_process ID: ask, wait up to five seconds, then kill.
end_process() {
  kill -TERM "$1" 2>/dev/null || return 0
  end_try=0
  while kill -0 "$1" 2>/dev/null; do
    end_try=$((end_try + 1))
    if [ "$end_try" -gt 50 ]; then kill -KILL "$1" 2>/dev/null; fi
    if [ "$end_try" -gt 60 ]; then return 0; fi
    nap
  done
}

stop_agents() {
  if [ -f "$system_unit" ]; then as_root systemctl stop "$unit" >/dev/null 2>&1; fi
  if [ -f "$user_unit" ]; then systemctl --user stop "$unit" >/dev/null 2>&1; fi
  loop_pid=$(ours "$agent/loop.pid" "$agent/run.sh") && end_process "$loop_pid"
  for stop_pid in $(strays); do end_process "$stop_pid"; done
  rm -f "$agent/loop.pid" "$agent/agent.pid"
}

# Each of the four ways to survive a reboot is taken away without a look at which one was used.
drop_system_unit() {
  [ -f "$system_unit" ] || return 0
  as_root systemctl disable "$unit" >/dev/null 2>&1
  as_root rm -f "$system_unit"
  as_root systemctl daemon-reload >/dev/null 2>&1
}

drop_user_unit() {
  [ -f "$user_unit" ] || return 0
  systemctl --user disable "$unit" >/dev/null 2>&1
  rm -f "$user_unit"
  systemctl --user daemon-reload >/dev/null 2>&1
}

drop_cron() {
  command -v crontab >/dev/null 2>&1 || return 0
  crontab -l 2>/dev/null | grep -qF -- "$mark" || return 0
  crontab -l 2>/dev/null | grep -vF -- "$mark" | crontab - >/dev/null 2>&1
}

drop_boot_file() {
  boot="$HOME/.rc.local"
  if [ ! -f "$boot" ] || ! grep -qF -- "$mark" "$boot"; then return 0; fi
  grep -vF -- "$mark" "$boot" >"$boot.new"
  if grep -qv '^#!' "$boot.new"; then
    chmod 700 "$boot.new" && mv -f "$boot.new" "$boot"
  else
    rm -f "$boot.new" "$boot"
  fi
}

drop_all() {
  drop_system_unit
  drop_user_unit
  drop_cron
  drop_boot_file
}
