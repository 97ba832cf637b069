"""A guest that converges itself, and a registry that has given it enough."""

from __future__ import annotations

STATE = "/var/lib/felhom-base-infra"


def test_a_rate_limit(guest, heal, registry, host):
    """It is not asked again before its time, and what the error advises helps: an account is counted for itself."""
    image = host.ansible.get_variables()["base_cloudflared_image"]
    tag, _, digest = image.partition("@")
    before = guest.ids(), guest.disk()
    registry("limited")
    guest.run(f"docker rm --force cloudflared; docker rmi --force {tag} {tag.rpartition(':')[0]}@{digest}")
    assert guest.host.run("systemctl start felhom-base-infra.service").rc != 0
    error = guest.ledger()[-1]["error"]
    assert f"image {image} is not on the guest and can't be pulled: the registry's rate limit is reached" in error
    assert "log in to it on the guest with 'docker login'" in error
    assert guest.changed_since(before[0]) == {"cloudflared"} and guest.disk() == before[1]
    lines = len(guest.ledger())
    assert guest.host.run("systemctl start felhom-base-infra.service").rc == 0
    assert len(guest.ledger()) == lines
    code, said = heal.gate()
    assert code == 10 and said.startswith("failed once; next try at ")
    guest.run("echo test-registry''-password | docker login --username felhom-bed --password-stdin")
    try:
        # As if five minutes had passed.
        guest.run(f"sed -i -E 's/(\"last\": )([0-9.]+)/\\11.0/' {STATE}/failures.json")
        heal.now()
    finally:
        guest.run("docker logout; rm -rf /root/.docker")
    assert guest.changed_since(before[0]) == {"cloudflared"}
