"""The root filesystem of all guests: Debian 13 with its own Docker engine, Compose and Ansible."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from . import host
from .process import wait_with_progress
from .settings import CACHE, FIRST_ID, RUN, say

SUITE = "trixie"
PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "init",
    "docker.io",
    "docker-cli",
    "docker-compose",
    "iptables",
    "python3-docker",
    "python3-apt",
    "python3-yaml",
    "git",
    "openssh-server",
    "ca-certificates",
    "curl",
    "iproute2",
    "procps",
    "less",
    "ansible-core",
]

# Debian's ansible package holds a hundred collections, 436 MB unpacked and byte-compiled one by one. Guests need these.
COLLECTIONS = [
    "community/docker",
    "community/general",
    "community/proxmox",
    "community/library_inventory_filtering_v1",
    "ansible/posix",
]

TAKE_COLLECTIONS = """set -e
into=usr/lib/python3/dist-packages/ansible_collections
cd "$1/var/tmp"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q download ansible
dpkg-deb --fsys-tarfile ansible_*.deb |
  tar -C "$1" --exclude='*/tests' --exclude='*/docs' --exclude='*/changelogs' -xpf - {paths}
rm ansible_*.deb
chroot "$1" python3 -m compileall -q -j 2 "/$into" >/dev/null || true
"""

# Fine under Proxmox; they fail where the kernel has no modules and no debugfs, and the guest would be degraded.
MASKED = ["systemd-modules-load.service", "sys-kernel-debug.mount"]


def path() -> Path:
    """Where the file system lies. The name follows from the recipe, so that a changed recipe makes another one."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    return CACHE / f"rootfs-{SUITE}-{recipe}"


def build() -> Path:
    """Make the file system, if it is not there, already shifted to the ids of an unprivileged guest."""
    target = path()
    if target.exists():
        return target
    say(f"building the guests' root filesystem (Debian {SUITE})")
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    os.chown(unfinished, FIRST_ID, FIRST_ID)
    with open(RUN / "mmdebstrap.log", "wb") as log, _user_namespace() as namespace:
        make = subprocess.Popen(_mmdebstrap(), stdout=subprocess.PIPE, stderr=log, env=_environment())
        unpack = subprocess.Popen(
            ["nsenter", "-U", "-t", str(namespace.pid), "-S", "0", "-G", "0"]
            + ["tar", "-C", str(unfinished), "--exclude=./dev/*", "--numeric-owner"]
            + ["--xattrs", "--xattrs-include=*", "-xpf", "-"],
            stdin=make.stdout,
            stderr=log,
        )
        wait_with_progress(f"root filesystem (log: {log.name})", make, unpack)
        namespace.terminate()
    for unit in MASKED:
        (unfinished / "etc/systemd/system" / unit).symlink_to("/dev/null")
    unfinished.rename(target)
    for old in CACHE.glob(f"rootfs-{SUITE}-*"):
        if old != target:
            shutil.rmtree(old)
    return target


def _mmdebstrap() -> list[str]:
    archive, security = host.debian_mirrors()
    paths = " ".join(f"./usr/lib/python3/dist-packages/ansible_collections/{name}" for name in COLLECTIONS)
    trimmed = ["path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*"]
    return [
        "mmdebstrap",
        "--variant=apt",
        "--mode=root",
        "--format=tar",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt={option}" for option in trimmed),
        f"--customize-hook={TAKE_COLLECTIONS.format(paths=paths)}",
        '--customize-hook=: > "$1"/etc/machine-id; rm -f "$1"/etc/hostname "$1"/etc/resolv.conf',
        SUITE,
        "-",
        f"deb {archive} {SUITE} main",
        f"deb {archive} {SUITE}-updates main",
        f"deb {security} {SUITE}-security main",
    ]


def _environment() -> dict[str, str]:
    # Unpacking packages in memory saves half a minute; the tree is 700 MB.
    free = os.statvfs("/dev/shm")
    roomy = free.f_bavail * free.f_frsize > 3 << 30
    return os.environ | ({"TMPDIR": "/dev/shm"} if roomy else {})


class _user_namespace:
    """A process in a user namespace with the guests' map, written by hand, so that /etc/subuid is not needed."""

    def __enter__(self) -> subprocess.Popen:
        self.process = subprocess.Popen(["unshare", "-U", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/user")
        while os.readlink(f"/proc/{self.process.pid}/ns/user") == own:
            pass
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{self.process.pid}/{name}").write_text(f"0 {FIRST_ID} 65536")
        return self.process

    def __exit__(self, *_error) -> None:
        self.process.kill()
        self.process.wait()
