# Takes the agent off this host: processes, what starts it at boot, and its folder. Runs after common.sh, on stdin.

stop_agents
drop_all
rm -rf "$base"
if [ -e "$base" ]; then echo "cannot remove $base" >&2; exit 1; fi
exit 0
