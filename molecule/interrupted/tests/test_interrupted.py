"""A converge is killed at one moment after another; what it leaves is made whole by the next."""

from __future__ import annotations

import json

import pytest
import yaml

MOMENT = "/run/felhom-die-at"


@pytest.fixture(scope="module")
def fatal_collection(altered_collection):
    """A copy of the collection that ends its process at the moment that a file on the guest names."""
    return altered_collection(
        {
            "_guest/failpoints.py": lambda _text: (
                "import os\n\n\ndef failpoint(moment):\n"
                f"    try:\n        with open({MOMENT!r}) as stream:\n            wanted = stream.read().strip()\n"
                "    except OSError:\n        return\n"
                f"    if moment == wanted:\n        os.unlink({MOMENT!r})\n        os.kill(os.getpid(), 9)\n"
            )
        }
    )


@pytest.mark.parametrize(
    "moment",
    [
        "next.json: staged",
        "traefik: journal written",
        "traefik.yml: staged",
        "docker-compose.yml: staged",
        "traefik.yml: renamed",
        "docker-compose.yml: renamed",
        "traefik: files written",
        "traefik: committed",
    ],
)
@pytest.mark.parametrize("then", ["old", "new"])
def test_a_run_killed_at_a_moment(guest, play, fatal_collection, moment, then):
    def level() -> str:
        return yaml.safe_load(guest.run("cat /opt/docker/traefik/traefik.yml"))["log"]["level"]

    def settings(level: str) -> tuple[str, str]:
        return "--extra-vars", json.dumps({"base_traefik_log_level": level})

    before, old = guest.disk(), level()
    new = "WARN" if old == "INFO" else "INFO"
    guest.run(f"echo '{moment}' > {MOMENT}")
    killed = play("site.yml", *settings(new), ANSIBLE_COLLECTIONS_PATH=fatal_collection)
    assert killed.status == 2, killed.output
    assert not guest.host.file(MOMENT).exists, "the moment was never reached"
    wanted = old if then == "old" else new
    run = play("site.yml", *settings(wanted))
    assert run.status == 0, run.output
    assert level() == wanted
    if then == "old":
        assert guest.disk() == before
    # The gate takes either for a run that did not end.
    assert guest.run("find /opt/docker /var/lib/felhom-base-infra -name '*.tmp' -o -name next.json") == ""
