#!/bin/sh
# Install the OpenStack control plane that the tests of the openstack driver run against: keystone, glance, placement, nova
# and neutron with MariaDB and RabbitMQ, from Debian 12's own packages. As root; once; some four minutes, 1.5 GB of disk.
# Only files are installed: no service is started and none is enabled; the tests start their own, in a folder of their own.
set -eu

say() { printf 'openstack: %s\n' "$*"; }

fail() { # message, remedy
    printf 'openstack: %s. Remedy: %s\n' "$1" "$2" >&2
    exit 1
}

packages='keystone glance-api placement-api nova-api nova-scheduler nova-conductor neutron-server rabbitmq-server mariadb-server'
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
if [ -z "$missing" ]; then
    say 'nothing is missing'
    exit 0
fi
[ "$(id -u)" -eq 0 ] || fail "the packages$missing are missing" 'run tools/openstack.sh as root, on Debian 12'
command -v apt-get >/dev/null || fail 'this system has no apt-get' 'use Debian 12'

policy=/usr/sbin/policy-rc.d # while it says 101, packages do not start their services
made=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
trap 'exit 130' INT TERM

say "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086 # a list of words
apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install $missing >/dev/null ||
    fail 'apt-get could not install the packages' 'read the lines above, then run tools/openstack.sh again'
if [ -d /run/systemd/system ]; then
    for unit in keystone glance-api placement-api nova-api nova-scheduler nova-conductor neutron-api neutron-rpc-server \
        rabbitmq-server mariadb; do
        systemctl disable --quiet "$unit" 2>/dev/null || true # a unit that this version does not have
    done
fi
say 'done'
