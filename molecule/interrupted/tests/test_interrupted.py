"""A converge is killed at one moment after another; what it leaves is made whole by the next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def fatal_collection(tmp_path_factory):
    """A copy of the collection that ends its process at the moment that a file on the guest names."""
    root = tmp_path_factory.mktemp("collections")
    ours = root / "ansible_collections/felhom/base_infra"
    for folder in ("plugins", "roles", "playbooks", "meta"):
        shutil.copytree(ROOT / folder, ours / folder)
    shutil.copy(ROOT / "galaxy.yml", ours)
    (ours / "plugins/module_utils/_guest/failpoints.py").write_text(
        "import os\n\n\ndef failpoint(moment):\n"
        "    try:\n        with open('/run/felhom-die-at') as stream:\n            wanted = stream.read().strip()\n"
        "    except OSError:\n        return\n"
        "    if moment == wanted:\n        os.unlink('/run/felhom-die-at')\n        os.kill(os.getpid(), 9)\n"
    )
    return root


@pytest.fixture(scope="module", autouse=True)
def nothing_to_do(play):
    """After all of it a plain converge ends well, and the next one has nothing to do."""
    yield
    assert play("site.yml").status == 0
    assert play("site.yml").changed == 0


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
    guest.run(f"echo '{moment}' > /run/felhom-die-at")
    others = ROOT / ".venv/collections"
    killed = play("site.yml", *settings(new), ANSIBLE_COLLECTIONS_PATH=f"{fatal_collection}:{others}")
    assert killed.status == 2, killed.output
    assert not guest.host.file("/run/felhom-die-at").exists, "the moment was never reached"
    wanted = old if then == "old" else new
    run = play("site.yml", *settings(wanted))
    assert run.status == 0, run.output
    assert level() == wanted
    if then == "old":
        assert guest.disk() == before
    # The gate takes either for a run that did not end.
    assert guest.run("find /opt/docker /var/lib/felhom-base-infra -name '*.tmp' -o -name next.json") == ""
