#!/bin/sh
# Keeps the agent running where there is no systemd.
#   run.sh start   start the loop in a session of its own and return
#   run.sh loop    run the agent; start it again when it fails, after 1 s, 2 s, 4 s … 30 s; stop when it exits 0 or 64

here=$(cd "$(dirname "$0")" && pwd) || exit 1
cd "$here" || exit 1

if [ "$1" = start ]; then
  if command -v setsid >/dev/null 2>&1; then
    setsid nohup /bin/sh "$here/run.sh" loop </dev/null >/dev/null 2>&1 &
  else
    nohup /bin/sh "$here/run.sh" loop </dev/null >/dev/null 2>&1 &
  fi
  exit 0
fi

# One loop only: another one that is alive keeps its place.
if read -r other 2>/dev/null <loop.pid && [ "$other" != $$ ] &&
  tr '\0' ' ' <"/proc/$other/cmdline" 2>/dev/null | grep -qF -- "$here/run.sh"; then
  exit 0
fi
echo $$ >loop.pid

read -r python 2>/dev/null <python
[ -x "$python" ] || python=python3
child=
stop=
delay=1
trap '' HUP
trap 'stop=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT

while [ -z "$stop" ]; do
  if [ -n "$(find agent.log -size +512k 2>/dev/null)" ]; then mv -f agent.log agent.log.1; fi
  begun=$(date +%s)
  "$python" -ISB "$here/agent.pyz" --config "$here/agent.json" </dev/null >>agent.log 2>&1 &
  child=$!
  echo "$child" >agent.pid
  wait "$child"
  status=$?
  # A signal to this loop ends the wait early; the agent may still be writing down what it has.
  while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    status=$?
  done
  case $status in 0 | 64) break ;; esac
  if [ -n "$stop" ]; then break; fi
  if [ $(($(date +%s) - begun)) -ge 60 ]; then delay=1; fi
  sleep "$delay" &
  child=$!
  wait "$child"
  delay=$((delay * 2))
  if [ "$delay" -gt 30 ]; then delay=30; fi
done
rm -f loop.pid agent.pid
