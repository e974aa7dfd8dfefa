#!/bin/sh
# Makes a Debian image for guests: `hypervisor_image.sh FOLDER SUITE MIRROR` → disk.qcow2, vmlinuz, initrd in FOLDER.
# It runs in namespaces of its own, so no mount of it outlives it. Lines that begin with "==" tell how far it is.
# The guest is Debian as it comes, with cloud-init (NoCloud) for what differs from VM to VM; what is left out or switched
# off only shortens its boot under software emulation.
set -eu
folder=$1 suite=$2 mirror=$3
root=$folder/root
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
packages="systemd-sysv udev dbus kmod iproute2 openssh-server sudo procps lz4 python3 cloud-init linux-image-cloud-amd64"

echo "== Debian $suite from $mirror"
debootstrap --keyring="$keyring" --force-check-gpg --variant=minbase "$suite" "$root" "$mirror" || {
    tail -n 8 "$root/debootstrap/debootstrap.log"
    exit 1
}

echo "== kernel, SSH server, cloud-init"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mkdir -p "$root/etc/initramfs-tools"
printf 'MODULES=list\nCOMPRESS=lz4\n' >"$root/etc/initramfs-tools/initramfs.conf"
printf '%s\n' virtio_pci virtio_blk virtio_net virtio_rng ext4 isofs >"$root/etc/initramfs-tools/modules"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service starts here
chmod 755 "$root/usr/sbin/policy-rc.d"
chroot "$root" apt-get -q update
# shellcheck disable=SC2086 # a list of words
chroot "$root" apt-get -q -y -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confold \
    --no-install-recommends install $packages
rm -f "$root/usr/sbin/policy-rc.d"
umount "$root/proc" "$root/dev"

echo "== settings of the image"
echo '/dev/vda / ext4 noatime 0 0' >"$root/etc/fstab"
echo localhost >"$root/etc/hostname"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
cat >"$root/etc/systemd/network/10-ethernet.network" <<'END'
[Match]
Type=ether
[Network]
DHCP=ipv4
LinkLocalAddressing=no
[DHCPv4]
ClientIdentifier=mac
UseHostname=no
END
cat >"$root/etc/cloud/cloud.cfg" <<'END'
datasource_list: [NoCloud, None]
network: {config: disabled}
preserve_hostname: false
manage_etc_hosts: localhost
cloud_init_modules: [write-files, set_hostname, update_etc_hosts, users-groups, ssh]
cloud_config_modules: []
cloud_final_modules: []
system_info:
  distro: debian
  paths: {cloud_dir: /var/lib/cloud/, templates_dir: /etc/cloud/templates/}
  ssh_svcname: ssh
END
find "$root/etc/cloud/cloud.cfg.d" -type f ! -name 05_logging.cfg -delete
for module in kvm kvm_amd kvm_intel powernow_k8 acpi_cpufreq ata_piix ata_generic floppy parport_pc pcspkr psmouse \
    i2c_piix4; do
    echo "blacklist $module"
done >"$root/etc/modprobe.d/not-in-a-guest.conf"
# All is done in cloud-init's first stage (see the kernel's arguments), at the first boot; there is nothing left after it.
mkdir -p "$root/etc/systemd/system/cloud-init-local.service.d"
printf '[Service]\nExecStartPost=/bin/touch /etc/cloud/cloud-init.disabled\n' \
    >"$root/etc/systemd/system/cloud-init-local.service.d/once.conf"
for unit in systemd-networkd.service ssh.service; do systemctl --root="$root" --quiet enable "$unit"; done
for unit in networking.service systemd-networkd-wait-online.service systemd-timesyncd.service getty@tty1.service \
    serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer cloud-init-hotplugd.socket cloud-init.service cloud-config.service \
    cloud-final.service systemd-pstore.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

echo "== disk"
cp "$root"/boot/vmlinuz-* "$folder/vmlinuz"
cp "$root"/boot/initrd.img-* "$folder/initrd"
rm -rf "$root"/boot/* "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/*
truncate -s 2G "$folder/disk.raw"
mkfs.ext4 -q -F -E lazy_itable_init=0 -O ^metadata_csum_seed -d "$root" "$folder/disk.raw"
qemu-img convert -f raw -O qcow2 "$folder/disk.raw" "$folder/disk.qcow2"
rm -rf "$root" "$folder/disk.raw"
