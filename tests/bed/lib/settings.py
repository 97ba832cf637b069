"""Where the bed keeps its things, and what it is called on this machine."""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

BED = Path(__file__).resolve().parent.parent
# Outside of the checkout: the bridge is the machine's anyway, LXC dislikes long paths and spaces, and what is cached
# serves the next clone too.
HOME = Path(os.environ.get("FELHOM_BED_HOME", "/var/lib/felhom-bed"))
CACHE = HOME / "cache"
GUESTS = HOME / "guests"
RUN = HOME / "run"
KEYS = HOME / "keys"
PINS = RUN / "pins.json"
# What single guests suffer from the registry, in a file for each address; see hub.py.
FAULTS = RUN / "faults"
# The secret that the edge takes from single guests, in a file for each address; see edge.py.
EDGE_SECRETS = RUN / "edge-secrets"

BRIDGE = os.environ.get("FELHOM_BED_BRIDGE", "felhombr0")
NETWORK = ipaddress.ip_network(os.environ.get("FELHOM_BED_NET", "172.30.0.0/24"))
GATEWAY = str(NETWORK[1])
REGISTRY = f"http://{GATEWAY}:5000"

# The tunnel that the edge knows, and its secret: the test customer's. No such tunnel exists.
TUNNEL, TUNNEL_SECRET = "00000000-1111-4222-8333-444455556666", b"the secret of the test customer!"
# The one that it has after somebody has rotated it at Cloudflare.
TUNNEL_SECRET_ROTATED = b"the test customer's next secret!"

# The guest's root is this user of the host, as Proxmox maps an unprivileged guest.
FIRST_ID = 100000

_START = time.monotonic()


def say(text: str) -> None:
    """One line of progress, with the seconds since the command began."""
    print(f"[{time.monotonic() - _START:4.0f} s] {text}", flush=True)


def fail(text: str) -> NoReturn:
    """End with one clear line."""
    sys.exit(f"error: {text}")
