"""The bridge, and what answers on it: name server, registry, and an edge for the tunnel."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

from .process import run, start_service, stop_service, succeeds
from .settings import BED, BRIDGE, CACHE, GATEWAY, KEYS, NETWORK, REGISTRY, RUN, fail

HUB = "registry-1.docker.io"
PRIVATE = "registry.felhom.test"
EDGES = ["region1.v2.argotunnel.com", "region2.v2.argotunnel.com"]
NAT_MARK = f"felhom bed {BRIDGE}"


def up() -> None:
    """Make the bridge and start the services, but for what is there."""
    if not succeeds("ip", "link", "show", BRIDGE):
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{GATEWAY}/{NETWORK.prefixlen}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    _certificates()
    real = hub_is_real()
    names = [PRIVATE, *([] if real else [HUB, *EDGES])]
    # Without a server to ask dnsmasq refuses every other name at once; one that hangs costs each pull 10 s.
    upstream = [] if real else ["--no-resolv"]
    addresses = [f"--address=/{name}/{GATEWAY}" for name in names]
    start_service(
        "dnsmasq",
        *["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-hosts"],
        *["--bind-interfaces", f"--listen-address={GATEWAY}", "--except-interface=lo", *upstream, *addresses],
    )
    tls = f", tls: {{certificate: {KEYS}/registry.crt, key: {KEYS}/registry.key}}"
    for name, address, extra in (("registry", f"{GATEWAY}:5000", ""), ("hub", f"{GATEWAY}:443", tls)):
        configuration = RUN / f"{name}.yml"
        configuration.write_text(
            "version: 0.1\nlog: {level: warn}\n"
            f"storage: {{filesystem: {{rootdirectory: {CACHE}/registry}}, delete: {{enabled: true}}}}\n"
            f'http: {{addr: "{address}"{extra}}}\n'
        )
        start_service(name, "docker-registry", "serve", configuration)
    if real:
        _nat("-A")
    else:
        edge("up")
    _wait_for_registry()


def down() -> None:
    """Take away what up made."""
    for name in ("dnsmasq", "registry", "hub", "edge"):
        stop_service(name)
    _nat("-D")
    if succeeds("ip", "link", "show", BRIDGE):
        run("ip", "link", "delete", BRIDGE)


def edge(state: str) -> None:
    """Start or stop what plays Cloudflare's edge for the tunnel."""
    if state == "up":
        start_service("edge", sys.executable, BED / "edge.py", GATEWAY)
    else:
        stop_service("edge")


def hub_is_real() -> bool:
    """Whether Docker Hub answers this machine. FELHOM_BED_HUB=local or real forces the answer."""
    forced = os.environ.get("FELHOM_BED_HUB", "auto")
    if forced not in ("auto", "local", "real"):
        fail(f"FELHOM_BED_HUB={forced}: expected auto, local or real")
    remembered = RUN / "hub"
    if forced == "auto" and remembered.exists():
        return remembered.read_text() == "real"
    real = forced == "real" or (forced == "auto" and _answers(f"https://{HUB}/v2/"))
    remembered.write_text("real" if real else "local")
    return real


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=3)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except (OSError, ssl.SSLError):
        return False
    return True


def _certificates() -> None:
    """An authority of the bed's own, and a certificate for the names under which the registry answers."""
    if (KEYS / "registry.crt").exists():
        return
    openssl = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    run(
        *openssl, "-x509", "-days", 3650, "-subj", "/CN=felhom bed", "-keyout", KEYS / "ca.key", "-out", KEYS / "ca.crt"
    )
    run(*openssl, "-subj", f"/CN={HUB}", "-keyout", KEYS / "registry.key", "-out", KEYS / "registry.csr")
    (KEYS / "names").write_text(f"subjectAltName=DNS:{HUB},DNS:{PRIVATE}\n")
    run(
        *["openssl", "x509", "-req", "-in", KEYS / "registry.csr", "-CA", KEYS / "ca.crt", "-CAkey", KEYS / "ca.key"],
        *["-CAcreateserial", "-days", 3650, "-extfile", KEYS / "names", "-out", KEYS / "registry.crt"],
    )
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "felhom bed", "-f", KEYS / "ssh")


def _wait_for_registry() -> None:
    for _ in range(100):
        if succeeds("curl", "-fsS", "--noproxy", "*", "--max-time", 1, f"{REGISTRY}/v2/"):
            return
    fail(f"the registry does not answer on {REGISTRY}; see {RUN}/registry.log")


def _nat(action: str) -> None:
    """The guests' way out, only where Docker Hub is in reach anyway."""
    rule = ["-s", str(NETWORK), "!", "-o", BRIDGE, "-m", "comment", "--comment", NAT_MARK, "-j", "MASQUERADE"]
    there = succeeds("iptables", "-t", "nat", "-C", "POSTROUTING", *rule)
    if action == "-A" and not there:
        run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    if there == (action == "-D"):
        run("iptables", "-t", "nat", action, "POSTROUTING", *rule)


def publish_images() -> subprocess.Popen:
    """Start building and pushing the images; their pins are its output."""
    only = ["--only-private"] if hub_is_real() else []
    return subprocess.Popen(
        [sys.executable, BED / "images/publish.py", "--registry", REGISTRY, "--cache", CACHE, *only],
        stdout=open(RUN / "pins.unfinished", "wb"),
    )


def keep_pins() -> None:
    """Put the pins where the inventory finds them."""
    json.loads((RUN / "pins.unfinished").read_text())
    (RUN / "pins.unfinished").rename(RUN / "pins.json")
