"""A small stack, as a role writes it and as the engine lists it."""

from __future__ import annotations

import base64
import json

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine

PIN = "traefik:v3.7.14@sha256:" + "5" * 64
IMAGE_ID = "sha256:" + "a" * 64
NONCE = "0123456789abcdef"
COMPOSE = f"""
services:
  traefik:
    image: {PIN}
    container_name: traefik
    networks: [public]
networks:
  public: {{name: traefik-public, external: true}}
"""


def engine_for(stack, **changes):
    """An engine whose one container is what the stack wants, but for the changes."""
    container = _engine.Container(
        id="c" * 64,
        name="traefik",
        image=PIN,
        image_id=IMAGE_ID,
        state="running",
        health="healthy",
        project="traefik",
        service="traefik",
        labels={"felhom.base_infra.digest": stack.record["services"]["traefik"]["digest"]},
        networks={"traefik-public": "net1"},
    )
    return _engine.Engine(
        containers=[container._replace(**changes)],
        images={"traefik@sha256:" + "5" * 64: IMAGE_ID},
        networks={"traefik-public": "net1"},
    )


IMAGE = {
    "identity": {"machine_id_sha256": "a", "ssh_host_keys": ["SHA256:x", "SHA256:y"]},
    "hostname": "felhom-golden",
    "pins": ["traefik:v3.7.14@sha256:" + "0" * 64],
    "built": 1767225600,
    "commit": "c" * 40,
}

SECRET = "planted-secret-value-0123456789"
TUNNEL = "11111111-2222-4333-8444-555555555555"


def token(**parts):
    whole = {"a": "account", "t": TUNNEL, "s": base64.b64encode(SECRET.encode()).decode()} | parts
    return base64.b64encode(
        json.dumps({key: value for key, value in whole.items() if value is not None}).encode()
    ).decode()


BOOTSTRAP = {"customer": {"id": "acme"}, "hub": {"url": "https://hub", "password": SECRET}, "local_api": 1}
CONTROLLER = {
    "customer": {"id": "acme", "domain": "Acme.Example.Org.", "email": "ops@acme.example.org"},
    "infrastructure": {"cf_tunnel_token": token(), "cf_api_token": SECRET},
    "paths": {"stacks_dir": "/opt/docker/stacks"},
    "stacks": {"protected": ["traefik", "filebrowser"]},
    "assets": {"url": "x", "other": 1},
}

# What cloudflared 2026.8.2 says (facts/real-programs.md, its source), by what health makes of it.
_AT = "connIndex=0 event=0 ip=198.51.100.7"
_START = [
    "2026-11-25T08:00:00Z INF Starting tunnel tunnelID=11111111-2222-4333-8444-555555555555",
    "2026-11-25T08:00:00Z INF Initial protocol quic",
]
_CONTROL = 'error="control stream encountered a failure while serving"'
_REFUSED_OVER_QUIC = [
    f'2026-11-25T08:00:01Z ERR failed to run the datagram handler error="context canceled" {_AT}',
    f"2026-11-25T08:00:01Z ERR failed to serve tunnel connection {_CONTROL} {_AT}",
    f"2026-11-25T08:00:01Z ERR Serve tunnel error {_CONTROL} {_AT}",
    f"2026-11-25T08:00:01Z INF Retrying connection in up to 2s {_AT}",
]
_REFUSED = (
    f'2026-11-25T08:00:20Z ERR Register tunnel error from server side error="Unauthorized: Invalid tunnel secret" {_AT}'
)
_SUMMARY = (
    "2026-11-25T08:00:09Z INF |  SUMMARY: Environment ready with degraded transport. cloudflared will proceed using "
)
_UNHEARD = (
    "2026-11-25T08:00:05Z ERR Failed to dial a quic connection"
    f' error="failed to dial to edge with quic: timeout: no recent network activity" {_AT}'
)
_SWITCHED = f"2026-11-25T08:02:33Z INF Switching to fallback protocol http2 {_AT}"
_UNREACHED = (
    "2026-11-25T08:02:40Z ERR Unable to establish connection with Cloudflare edge"
    f' error="DialContext error: dial tcp 198.51.100.7:7844: i/o timeout" {_AT}'
)
REGISTERED = "2026-11-25T08:02:34Z INF Registered tunnel connection connIndex=0 connection=c event=0 ip=i protocol="
TUNNEL_LOGS = {
    "refused": [*_START, *_REFUSED_OVER_QUIC, _SWITCHED, _REFUSED],
    "ended": [*_START, *_REFUSED_OVER_QUIC],
    "no_udp": [*_START, _UNHEARD, f"{_SUMMARY}'http2'.  |", _UNHEARD],
    "late": [*_START, _UNHEARD, f"{_SUMMARY}'http2'.  |", _UNHEARD, _SWITCHED, f"{REGISTERED}http2"],
    "apart": [*_START, _UNHEARD, _SWITCHED, _UNREACHED],
}
