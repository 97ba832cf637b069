"""A small stack, as a role writes it and as the engine lists it."""

from __future__ import annotations

from ansible_collections.felhom.base_infra.plugins.module_utils import _engine

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
