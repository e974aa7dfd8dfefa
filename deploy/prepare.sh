#!/bin/sh
# Make what compose.yaml needs beside it: secrets (each made once, never changed) and .env. Argument: the name or address
# by which VMs reach this machine. Run again with another one to change it.
set -eu
host=${1:-}
cd "$(dirname "$0")"
case $host in
'' | *[!a-zA-Z0-9.:_-]*)
    echo "usage: $0 HOST (the name or address by which VMs reach this machine)" >&2
    exit 2
    ;;
esac
umask 077
mkdir -p secrets
chmod 700 secrets # the files are readable, as containers have users of their own; nobody else gets into the directory

make_secret() { # name, content
    [ -e "secrets/$1" ] && return
    printf '%s\n' "$2" >"secrets/.$1.new"
    chmod 644 "secrets/.$1.new"
    mv "secrets/.$1.new" "secrets/$1"
}
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
key() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }

make_secret postgres_password "$(random 24)"
make_secret influx_password "$(random 24)"
make_secret influx_token "$(random 32)"
make_secret grafana_password "$(random 12)"
make_secret secret.key "{\"keys\": [{\"id\": \"k1-$(random 4)\", \"key\": \"$(key)\"}]}"
printf 'PUBLIC_HOST=%s\n' "$host" >.env
echo "ready: deploy/secrets and deploy/.env. Keep a copy of secrets/secret.key apart from the backups of the databases."
