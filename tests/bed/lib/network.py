"""The bridge, and what answers on it: name server, registry, and an edge for the tunnel."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

from hub import BLOBS, HUB, PRIVATE, TOKENS

from .process import run, start_service, stop_service, succeeds
from .settings import (
    BED,
    BRIDGE,
    CACHE,
    EDGE_SECRETS,
    FAULTS,
    GATEWAY,
    KEYS,
    NETWORK,
    PINS,
    REGISTRY,
    RUN,
    TUNNEL,
    TUNNEL_SECRET,
    fail,
)

EDGES = ["region1.v2.argotunnel.com", "region2.v2.argotunnel.com"]
# Where the customer's zones, the authority and Cloudflare's API are played.
ZONES = ["acme.felhom.test", "extra.felhom.test"]
AUTHORITY = "ca.felhom.test"
API_PORT, ZONE_PORT = 8053, 5354
NAT_MARK = f"felhom bed {BRIDGE}"


def up() -> None:
    """Make the bridge and start the services, but for what is there."""
    if not succeeds("ip", "link", "show", BRIDGE):
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{GATEWAY}/{NETWORK.prefixlen}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    _certificates()
    real = hub_is_real()
    names = [PRIVATE, AUTHORITY, *([] if real else [HUB, TOKENS, BLOBS, *EDGES])]
    # Without a server to ask dnsmasq refuses every other name at once; one that hangs costs each pull 10 s.
    upstream = [] if real else ["--no-resolv"]
    addresses = [f"--address=/{name}/{GATEWAY}" for name in names]
    zones = [f"--server=/{zone}/{GATEWAY}#{ZONE_PORT}" for zone in ZONES]
    start_service(
        "dnsmasq",
        *[
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--no-hosts",
            "--log-facility=-",
        ],
        *[
            "--bind-interfaces",
            f"--listen-address={GATEWAY}",
            "--except-interface=lo",
            *upstream,
            *addresses,
            *zones,
            "--no-negcache",
        ],
    )
    configuration = RUN / "registry.yml"
    configuration.write_text(
        "version: 0.1\nlog: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {CACHE}/registry}}, delete: {{enabled: true}}}}\n"
        f'http: {{addr: "{GATEWAY}:5000"}}\n'
    )
    start_service("registry", "docker-registry", "serve", configuration)
    FAULTS.mkdir(exist_ok=True)
    certificate = [KEYS / "registry.crt", KEYS / "registry.key"]
    start_service("hub", sys.executable, BED / "hub.py", GATEWAY, 443, CACHE / "registry", *certificate, FAULTS)
    start_service("cloudflare", sys.executable, BED / "cloudflare.py", GATEWAY, API_PORT, ZONE_PORT, *ZONES)
    _authority()
    if real:
        _nat("-A")
    else:
        edge("up")
    _wait_for(REGISTRY, "registry")
    _wait_for(f"https://{GATEWAY}", "hub")


def down() -> None:
    """Take away what up made."""
    for name in ("dnsmasq", "registry", "hub", "edge", "cloudflare", "pebble"):
        stop_service(name)
    _nat("-D")
    if succeeds("ip", "link", "show", BRIDGE):
        run("ip", "link", "delete", BRIDGE)


def _authority() -> None:
    """A certificate authority that checks as Let's Encrypt does. Its root is another one each time it starts."""
    configuration = {
        "listenAddress": f"{GATEWAY}:14000",
        "managementListenAddress": f"{GATEWAY}:15000",
        "certificate": str(KEYS / "registry.crt"),
        "privateKey": str(KEYS / "registry.key"),
        "httpPort": 80,
        "tlsPort": 443,
        "externalAccountBindingRequired": False,
    }
    (RUN / "pebble.json").write_text(json.dumps({"pebble": configuration}))
    # Without these it sleeps before it checks, and refuses good requests at random, to harden clients.
    start_service(
        *["pebble", "env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"],
        *["pebble", "-config", RUN / "pebble.json", "-dnsserver", f"{GATEWAY}:{ZONE_PORT}"],
    )


def variables() -> dict[str, object]:
    """What the roles have to know of the bed: its pins, its authority and zones instead of the world's."""
    of_a_guest = json.loads(PINS.read_text()) | {
        "base_traefik_acme_ca_server": f"https://{AUTHORITY}:14000/dir",
        "base_traefik_acme_ca_bundle": (KEYS / "ca.crt").read_text(),
        "base_traefik_acme_resolvers": [f"{GATEWAY}:53"],
        "base_traefik_cf_api_url": f"http://{GATEWAY}:{API_PORT}/client/v4",
    }
    return of_a_guest | {
        # What a guest of the bed is told of itself is what an operator's inventory says of it.
        "reconcile_variables": of_a_guest,
        "golden_image_controller_image": "{{ felhom_controller_image }}",
        # ansible-core and some collections stand for Debian's package ansible, as lib/rootfs.py tells.
        "golden_image_packages": ["docker.io", "docker-cli", "docker-compose", "ansible-core", "python3-docker", "git"],
    }


def issuer() -> str:
    """The certificate, PEM, to which what the authority issued leads up."""
    asked = f"{AUTHORITY}:15000"
    trusting = ["--noproxy", "*", "--cacert", KEYS / "ca.crt", "--resolve", f"{asked}:{GATEWAY}"]
    return run("curl", "-fsS", "--retry", 20, "--retry-connrefused", *trusting, f"https://{asked}/roots/0")


def edge(state: str) -> None:
    """Start or stop what plays Cloudflare's edge for the tunnel."""
    if state == "up":
        EDGE_SECRETS.mkdir(exist_ok=True)
        known = f"{TUNNEL}={hashlib.sha256(TUNNEL_SECRET).hexdigest()}"
        start_service("edge", sys.executable, BED / "edge.py", GATEWAY, 7844, EDGE_SECRETS, known)
    else:
        stop_service("edge")


def edge_notes(address: str) -> list[str]:
    """What the edge saw of one guest's tunnel, each a line of JSON."""
    try:
        lines = (RUN / "edge.log").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line for line in lines if line.startswith("{") and json.loads(line)["guest"] == address]


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
    except OSError:
        return False
    # The Hub asks everybody for a token first. Who does not is a portal of this machine's network.
    return False


def _certificates() -> None:
    """An authority of the bed's own, and a certificate for the names under which its services answer."""
    openssl = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    if not (KEYS / "ca.crt").exists():
        made = ["-keyout", KEYS / "ca.key", "-out", KEYS / "ca.crt"]
        run(*openssl, "-x509", "-days", 3650, "-subj", "/CN=felhom bed", *made)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "felhom bed", "-f", KEYS / "ssh")
    names = "subjectAltName=" + ",".join(f"DNS:{name}" for name in [HUB, TOKENS, BLOBS, PRIVATE, AUTHORITY]) + "\n"
    if (KEYS / "registry.crt").exists() and (KEYS / "names").read_text() == names:
        return
    (KEYS / "registry.crt").unlink(missing_ok=True)
    run(*openssl, "-subj", f"/CN={HUB}", "-keyout", KEYS / "registry.key", "-out", KEYS / "registry.csr")
    (KEYS / "names").write_text(names)
    run(
        *["openssl", "x509", "-req", "-in", KEYS / "registry.csr", "-CA", KEYS / "ca.crt", "-CAkey", KEYS / "ca.key"],
        *["-CAcreateserial", "-days", 3650, "-extfile", KEYS / "names", "-out", KEYS / "registry.crt"],
    )


def _wait_for(url: str, service: str) -> None:
    for _ in range(100):
        if succeeds("curl", "-sS", "--insecure", "--noproxy", "*", "--max-time", 1, f"{url}/v2/"):
            return
        time.sleep(0.1)
    fail(f"{url} does not answer; see {RUN}/{service}.log")


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
