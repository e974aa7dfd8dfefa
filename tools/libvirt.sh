#!/bin/sh
# What the driver libvirt needs and a package index cannot give as a ready file: `tools/libvirt.sh` compiles libvirt-python
# into .venv (its version and SHA-256 stand in constraints/libvirt.txt); `tools/libvirt.sh hypervisor` also installs what a
# hypervisor on this machine needs (libvirtd, QEMU). As root on Debian or Ubuntu it installs the packages that are missing,
# without starting a service; elsewhere it names them. What is there already is not made again.
set -eu
cd "$(dirname "$0")/.."
python=.venv/bin/python

say() { printf 'libvirt: %s\n' "$*"; }

fail() { # message, remedy
    printf 'libvirt: %s. Remedy: %s\n' "$1" "$2" >&2
    exit 1
}

lacking=
need() { # program, Debian package
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || lacking="$lacking $2"
}

need_file() { # pattern of its path, Debian package
    for file in $1; do
        [ ! -e "$file" ] || return 0
    done
    lacking="$lacking $2"
}

installed() { # is libvirt-python of the wanted version there?
    wanted=$(sed -n 's/^libvirt-python==\([^ ]*\).*/\1/p' constraints/libvirt.txt)
    [ "$($python -c 'import libvirt, importlib.metadata as m; print(m.version("libvirt-python"))' 2>/dev/null)" = "$wanted" ]
}

if ! installed; then
    need cc gcc
    need pkg-config pkg-config
    need_file /usr/include/libvirt/libvirt.h libvirt-dev
fi
if [ "${1:-}" = hypervisor ]; then
    need libvirtd libvirt-daemon
    need_file '/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so' libvirt-daemon-driver-qemu
    need virsh libvirt-clients
    need qemu-system-x86_64 qemu-system-x86
    need qemu-img qemu-utils
    need dnsmasq dnsmasq-base
    need iptables iptables
    need ip iproute2
    need debootstrap debootstrap
    need_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
    need mkfs.ext4 e2fsprogs
fi

if [ -n "$lacking" ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail "packages are missing:$lacking" "apt-get install --no-install-recommends$lacking (Debian, Ubuntu)"
    say "installing$lacking"
    # A policy that forbids to start services, unless there is one already.
    policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f /usr/sbin/policy-rc.d' EXIT; }
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $lacking >/dev/null
fi

if installed; then
    say "libvirt-python is there"
else
    [ -x $python ] || fail ".venv is missing" "tools/setup.sh dev"
    say "compiling libvirt-python (10 s)"
    PIP_DISABLE_PIP_VERSION_CHECK=1 $python -m pip --quiet --require-virtualenv install --no-deps --require-hashes \
        --no-binary libvirt-python --requirement constraints/libvirt.txt
    installed || fail "libvirt-python was compiled and cannot be imported" "look at: $python -c 'import libvirt'"
fi
