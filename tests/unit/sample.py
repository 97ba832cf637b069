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
