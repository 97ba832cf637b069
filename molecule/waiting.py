"""Waiting for what a guest is to become. A machine that is busy with something else takes longer, and means no harm."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

# Costs time only where something is wrong anyway.
LIMIT = 300.0  # seconds for a state to come
ANSWER = 60  # seconds for one answer

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], why: Callable[[], object] = lambda: "") -> Found:
    """What a condition gives, as soon as that is something."""
    end = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {LIMIT:.0f} s. {why()}"
        time.sleep(0.5)
    return found


def served_certificate(address: str, port: int, name: str, trust: ssl.SSLContext) -> dict:
    """The certificate that is served for a name, once it is one that the bed's authority issued."""
    refused = OSError()

    def look() -> dict | None:
        nonlocal refused
        try:
            with (
                socket.create_connection((address, port), timeout=ANSWER) as plain,
                trust.wrap_socket(plain, server_hostname=name) as tls,
            ):
                return tls.getpeercert()
        except OSError as error:
            refused = error
            return None

    return wait_for(look, lambda: f"{name}: {refused}")
