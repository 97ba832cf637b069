#!/usr/bin/env python3
"""Clusters for the tests and the benchmark, and the API's double over one.

fleet.py clones|stop FOLDER makes a cluster with fresh clones, or stops its guests.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import proxmox

HERE = Path(__file__).resolve().parent
GOLDEN = "felhom-golden"
SECRET = "5e2a61d0-8c11-4f0e-9d6b-planted00001"
TOKEN = "ansible@pve!felhom"
PRIVILEGES = ["VM.Audit", "VM.Config.Network"]
# Customer ids of the clones; the last one is stopped.
CLONES = ["ACME", "Szűcs & Társa Kft.", "4711"]

CONF = """#Customer's appliance. hostname: not this one
arch: amd64
cores: 2
features: nesting=1,keyctl=1
hostname: {name}
memory: 2048
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=dhcp,type=veth
ostype: debian
rootfs: local-zfs:subvol-{vmid}-disk-0,size=32G
unprivileged: 1
{more}
[before-upgrade]
arch: amd64
hostname: old-name
memory: 1024
snaptime: 1767225600
"""


def conf(vmid: int, name: str = GOLDEN, more: str = "") -> str:
    """A guest's configuration as Proxmox has it, with a snapshot."""
    return CONF.format(vmid=vmid, name=name, more=more)


def make(folder: Path, size: int = 1000, wrong: int = 0, locked: int = 0, elsewhere: int = 0) -> dict[int, str]:
    """A cluster whose guests are right, but for some. Returns the names they are to have."""
    cluster = proxmox.Cluster(folder).make()
    wanted = {}
    for number in range(size):
        vmid = 10_000 + number
        wanted[vmid] = f"customer-{number:04}"
        name = wanted[vmid] if number >= wrong + locked + elsewhere else GOLDEN
        more = "lock: backup\n" if wrong <= number < wrong + locked else ""
        node = "pve2" if wrong + locked <= number < wrong + locked + elsewhere else "pve1"
        cluster.add(vmid, conf(vmid, name, more), node)
    cluster.publish()
    return wanted


class Api:
    """The API's double, running, with a certificate of a CA of its own."""

    def __init__(self, folder: Path, acl: dict[str, list[str]] | None = None) -> None:
        tokens: dict[str, Any] = {TOKEN: {"secret": SECRET, "acl": acl or {"/vms": PRIVILEGES}}}
        (folder / "tokens.json").write_text(json.dumps(tokens))
        self.ca = folder / "pve-root-ca.pem"
        certificate, key = folder / "pveproxy.pem", folder / "pveproxy.key"
        if not self.ca.exists():
            make_certificate(self.ca, certificate, key)
        command = [sys.executable, str(HERE / "api.py"), str(folder), "--tls", str(certificate), str(key)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())

    @property
    def options(self) -> dict[str, Any]:
        """The module's options to reach it."""
        user, _mark, token_id = TOKEN.partition("!")
        return {
            "method": "api",
            "api_host": "localhost",
            "api_port": self.port,
            "api_user": user,
            "api_token_id": token_id,
            "api_token_secret": SECRET,
            "ca_path": str(self.ca),
        }

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def make_certificate(ca: Path, certificate: Path, key: Path) -> None:
    """A CA, and a certificate of it for localhost."""
    ca_key = ca.with_suffix(".key")
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    ca_options = ["-subj", "/CN=Test CA", "-addext", "keyUsage=keyCertSign", "-keyout", ca_key, "-out", ca]
    own = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE"]
    for options in (ca_options, [*own, "-CA", ca, "-CAkey", ca_key, "-keyout", key, "-out", certificate]):
        subprocess.run([*new, *options], check=True, capture_output=True)


def first_id(folder: Path) -> int:
    """Running guests are seen by the whole machine, so each cluster has ids of its own."""
    return 100_000 + zlib.crc32(str(folder).encode()) % 800_000


def clones(folder: Path) -> dict[str, int]:
    """A node after guests were restored from the golden image, two of which run. Their ids by customer."""
    cluster = proxmox.Cluster(folder).make()
    names = {name: first_id(folder) + number for number, name in enumerate(["template", "named-by-hand", *CLONES])}
    cluster.add(names["template"], conf(names["template"], more="template: 1\n"))
    cluster.add(names["named-by-hand"], conf(names["named-by-hand"], "named-by-hand"))
    for customer in CLONES:
        cluster.add(names[customer], conf(names[customer]))
        provision(cluster, names[customer], json.dumps({"customer": {"id": customer}, "hub": {"password": SECRET}}))
    cluster.publish()
    for customer in CLONES[:-1]:
        cluster.start(names[customer])
    return names


def provision(cluster: proxmox.Cluster, vmid: int, bootstrap: str) -> None:
    """Put a bootstrap.json into a guest."""
    folder = cluster.rootfs(vmid) / "etc/felhom-bootstrap"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bootstrap.json").write_text(bootstrap)


if __name__ == "__main__":
    {"clones": clones, "stop": lambda folder: proxmox.Cluster(folder).stop_all()}[sys.argv[1]](Path(sys.argv[2]))
