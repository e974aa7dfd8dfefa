#!/bin/sh
# The first process in namespaces of its own (network, mounts, processes): `hypervisor_ground.sh FOLDER ADDRESS`.
# FOLDER holds all that libvirt reads and writes; ADDRESS is this host as the guests see it. When this process ends, the
# kernel ends all others in its namespaces (libvirtd, dnsmasq, guests) and takes their network and mounts away.
set -eu
folder=$1 address=$2

mount -t sysfs sysfs /sys # the one of the host shows the host's network cards
mount -t tmpfs -o mode=755 tmpfs /run
for pair in etc:/etc/libvirt var:/var/lib/libvirt cache:/var/cache/libvirt log:/var/log/libvirt run:/run/libvirt; do
    mkdir -p "$folder/${pair%%:*}" "${pair#*:}"
    mount --bind "$folder/${pair%%:*}" "${pair#*:}"
done

# libvirt's qemu driver does not load without this user, which only the package of the system service makes.
if ! getent passwd libvirt-qemu >/dev/null; then
    for table in passwd group; do
        cp "/etc/$table" "$folder/$table"
        mount --bind "$folder/$table" "/etc/$table"
    done
    echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
    echo 'libvirt-qemu:x:64055:' >>/etc/group
fi

ip link set lo up
ip address add "$address/32" dev lo
# Not exec: a shell as the first process takes in the orphans that libvirtd leaves.
libvirtd -f "$folder/libvirtd.conf" -p "$folder/run/libvirtd.pid"
