"""What the bed needs of the machine it runs on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .locks import alone
from .process import run
from .settings import fail, say

# Program to Debian package.
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "lxc-start": "lxc",
    "newuidmap": "uidmap",
    "docker-registry": "docker-registry",
    "dnsmasq": "dnsmasq-base",
    "openssl": "openssl",
    "pebble": "pebble",
    "ssh-keygen": "openssh-client",
    "curl": "curl",
    "ip": "iproute2",
    "iptables": "iptables",
    "git": "git",
}
# What only the tests with a browser need, and much larger than the rest.
BROWSER = {
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "certutil": "libnss3-tools",
}


def prepare(needed: dict[str, str] = NEEDED) -> None:
    """Install what is missing, or say in one line why that can't be done."""
    if os.geteuid() != 0:
        fail("the test bed makes LXC guests and a bridge: run it as root")
    if not _missing(needed):
        return
    if not Path("/etc/debian_version").exists():
        fail(f"the test bed needs a Debian or Ubuntu host, or these programs: {', '.join(needed)}")
    # Two commands of the bed at once: "Could not get lock /var/lib/apt/lists/lock".
    with alone("packages"):
        if missing := _missing(needed):
            say(f"installing {', '.join(missing)}")
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
            run("apt-get", "update", "-qq", env=environment)
            run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=environment)


def _missing(needed: dict[str, str]) -> list[str]:
    return sorted({package for program, package in needed.items() if not shutil.which(program)})


def debian_mirrors() -> tuple[str, str]:
    """Addresses of the archive and of its security updates, as this machine's own apt uses them."""
    if not Path("/var/lib/apt/lists").exists() or not _indexes():
        run("apt-get", "update", "-qq")
    indexes = _indexes()
    archive = next((uri for uri, release in indexes if release.isalpha()), None)
    security = next((uri for uri, release in indexes if release.endswith("-security")), None)
    if not archive or not security:
        fail("apt knows no Debian archive with security updates: see /etc/apt/sources.list.d")
    return archive, security


def _indexes() -> list[tuple[str, str]]:
    text = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    return [tuple(line.rstrip().rstrip("/").rsplit(" ", 1)) for line in text.splitlines() if " " in line]
