#!/usr/bin/env python3
"""ansible-test sanity over what is published: the built collection, unpacked as Ansible Galaxy unpacks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/bed"))
from lib.settings import CACHE  # noqa: E402

PLACE = ROOT / "build/sanity"
COLLECTION = PLACE / "ansible_collections/felhom/base_infra"

# ansible-test makes environments without pip and downloads a script, from a host that may not be in reach, that puts
# pip into them: "Download failed: <urlopen error [Errno -2] Name or service not known>". Python brings a pip itself.
GET_PIP = """\
import runpy, subprocess, sys
subprocess.run([sys.executable, "-m", "ensurepip"], check=True)
sys.argv[1:] = ["install"] + [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def main() -> None:
    unpack()
    # Making the environments takes three minutes of CPU, so they stay with all else that is made once for a machine.
    home = CACHE / "sanity"
    script = home / ".ansible/test/cache/get_pip_24_2.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    done = subprocess.run(
        ["ansible-test", "sanity", "--python", version, "--requirements", "--color", "no"],
        cwd=COLLECTION,
        env={key: value for key, value in os.environ.items() if key != "ANSIBLE_CONFIG"} | {"HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ran = done.stdout.count('Running sanity test "')
    print(done.stdout if done.returncode else f"{ran} sanity tests passed")
    sys.exit(done.returncode or not ran)


def unpack() -> None:
    built = PLACE / "built"
    shutil.rmtree(built, ignore_errors=True)
    shutil.rmtree(COLLECTION, ignore_errors=True)
    command = ["ansible-galaxy", "collection", "build", "--output-path", built, ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (archive,) = built.iterdir()
    shutil.unpack_archive(archive, COLLECTION)
    # ansible-test takes the files that Git does not ignore, and this checkout ignores all of build/.
    subprocess.run(["git", "init", "--quiet", COLLECTION], check=True)
    ignored = COLLECTION / "tests/sanity"
    ignored.mkdir(parents=True)
    for path in Path(__file__).parent.glob("ignore-*.txt"):
        shutil.copy(path, ignored)


if __name__ == "__main__":
    main()
