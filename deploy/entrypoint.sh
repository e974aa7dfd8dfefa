#!/bin/sh
# Start the daemon in a container. Secrets come as files that any user of the container may read; the daemon takes only
# files that are private, so it gets copies of its own, in memory.
set -eu
umask 077
if [ -d /run/secrets ]; then
    mkdir -p /run/mcisd/secrets
    for secret in /run/secrets/*; do
        cat "$secret" >"/run/mcisd/secrets/${secret##*/}"
    done
fi
exec mcisd "$@"
