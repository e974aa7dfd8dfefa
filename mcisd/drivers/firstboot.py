"""What a VM does at first boot, in the two forms that clouds' images understand. Pure. In: a VM request. Out: text.

Both make the guest user, let in the key, and install the SSH host key that we generated: the first connection is
verified against it, and nothing is trusted on first use. The text holds a secret (the host key): never log it.
"""

import json
import shlex

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from mcisd.model.cloud import VmRequest
from mcisd.model.errors import CloudInvalidError

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def host_public_key(private_key: str) -> str:
    """The public line of an Ed25519 host key (OpenSSH PEM); CloudInvalidError if it is none."""
    try:
        key = load_ssh_private_key(private_key.encode(), None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CloudInvalidError("host_key is not an OpenSSH private key", field="host_key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CloudInvalidError("host_key is not an Ed25519 key", field="host_key")
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def cloud_config(request: VmRequest) -> str:
    """User data for images with cloud-init."""
    body: dict[str, object] = {
        "hostname": request.name,
        "users": [
            {
                "name": request.guest_user,
                "shell": "/bin/bash",
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "lock_passwd": True,
                "ssh_authorized_keys": [request.public_key],
            }
        ],
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": request.host_key, "ed25519_public": host_public_key(request.host_key)},
    }
    if request.guest_user == "root":
        body |= {"disable_root": False, "users": [{"name": "root", "ssh_authorized_keys": [request.public_key]}]}
    return "#cloud-config\n" + json.dumps(body)


def shell_script(request: VmRequest) -> str:
    """A start script, run as root at every boot, for images without cloud-init; the second run changes nothing."""
    user, home = shlex.quote(request.guest_user), '$(getent passwd "$user" | cut -d: -f6)'
    public = host_public_key(request.host_key)
    return f"""#!/bin/sh
set -eu
umask 077
user={user}
key={shlex.quote(request.public_key)}
getent passwd "$user" >/dev/null || useradd --create-home --shell /bin/bash "$user"
if [ "$user" != root ]; then
    printf '%s ALL=(ALL) NOPASSWD:ALL\\n' "$user" >/etc/sudoers.d/90-mcisd && chmod 440 /etc/sudoers.d/90-mcisd
fi
home={home}
mkdir -p "$home/.ssh"
grep -qxF "$key" "$home/.ssh/authorized_keys" 2>/dev/null || printf '%s\\n' "$key" >>"$home/.ssh/authorized_keys"
chown -R "$user" "$home/.ssh"
printf '%s\\n' {shlex.quote(public)} >{HOST_KEY}.pub.new
if ! cmp -s {HOST_KEY}.pub.new {HOST_KEY}.pub; then
    rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
    printf '%s' {shlex.quote(request.host_key)} >{HOST_KEY}
    mv {HOST_KEY}.pub.new {HOST_KEY}.pub
    chmod 644 {HOST_KEY}.pub
    systemctl try-reload-or-restart ssh.service || systemctl try-reload-or-restart sshd.service
fi
rm -f {HOST_KEY}.pub.new
"""
