"""The guest's program and its library are never of releases that do not understand each other, whenever a run dies."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import failpoints as _failpoints
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import repository as _repository
from ansible_collections.felhom.base_infra.plugins.modules import guest_collection

ROOT = Path(__file__).resolve().parents[4]
OLD = "b783c519bff3787eb081903cc07d749e250aac21"  # 0.1.0, whose program imports the modules by their flat names
COLLECTION = "ansible_collections/felhom/base_infra"
PROGRAM = "roles/reconcile/files/felhom-base-infra"
# In the order in which they come.
MOMENTS = [
    "library: unpacked",
    "felhom-base-infra: staged",
    "felhom-base-infra: renamed",
    "program: installed",
    "library: switched",
]


class Killed(BaseException):
    """Nobody catches it, as nobody catches a kill -9."""


def git(folder, *words):
    author = ["-c", "user.name=x", "-c", "user.email=x@x"]
    return subprocess.run(["git", "-C", folder, *author, *words], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """A repository with the release before and this one, whose absolute paths lie below a folder of their own."""
    root = tmp_path_factory.mktemp("guest")
    work = root / "work"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch", "main")
    commits = {}
    for name in ("old", "new"):
        shutil.rmtree(work / "plugins", ignore_errors=True)
        if name == "old":
            archive = git(ROOT, "archive", OLD, "plugins/module_utils", PROGRAM)
            subprocess.run(["tar", "-x", "-C", work], input=archive, check=True)
        else:
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "plugins/module_utils", work / "plugins/module_utils", ignore=skipped)
            shutil.copy(ROOT / PROGRAM, work / PROGRAM)
        for path in [*work.glob("plugins/**/*.py"), work / PROGRAM]:
            text = path.read_text()
            for folder in ("/usr/local/lib", "/var/lib", "/etc", "/run"):
                text = text.replace(f'"{folder}/felhom-base-infra', f'"{root}{folder}/felhom-base-infra')
            path.write_text(text)
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "--message", name)
        commits[name] = git(work, "rev-parse", "HEAD").decode().strip()
    return root, commits


class Guest:
    """What is below the folder, and the program that is there."""

    def __init__(self, root, commits):
        self.root, self.commits = root, commits
        self.library, self.program = root / "usr/local/lib/felhom-base-infra", root / "felhom-base-infra"
        for name in ("usr", "var", "etc", "run"):
            shutil.rmtree(root / name, ignore_errors=True)
        state = root / "var/lib/felhom-base-infra"
        self.library.mkdir(parents=True)
        state.mkdir(parents=True)
        settings = {
            "state_dir": str(state),
            "mirror": str(root / "work/.git"),
            "ref": "main",
            "checkout": str(state / "checkout" / COLLECTION),
            "inventory": "",
            "inputs": [],
            "bundle": "",
            "fetch": {"url": ""},
        }
        (root / "etc/felhom-base-infra").mkdir(parents=True)
        (root / "etc/felhom-base-infra/settings.json").write_text(json.dumps(settings))

    def install(self, release):
        mirror = _repository.Repository(str(self.root / "work/.git"), "main")
        guest_collection.install_library(mirror, self.commits[release], str(self.library), str(self.program))

    def check_out(self, release):
        folder = self.root / "var/lib/felhom-base-infra/checkout" / COLLECTION
        folder.mkdir(parents=True)
        archive = git(self.root / "work", "archive", self.commits[release])
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)

    def releases(self):
        """Of the program and of the library."""
        of = {commit: name for name, commit in self.commits.items()}
        text = {git(self.root / "work", "show", f"{commit}:{PROGRAM}"): name for commit, name in of.items()}
        return text[self.program.read_bytes()], of[(self.library / "current").readlink().name]

    def run(self, *words):
        return subprocess.run([self.program, *words], check=False, capture_output=True, text=True)


@pytest.fixture
def guest(releases):
    """A guest of the release before."""
    guest = Guest(*releases)
    guest.install("old")
    assert guest.releases() == ("old", "old")
    return guest


@pytest.mark.parametrize("checked_out", ["old", "new", None])
@pytest.mark.parametrize("moment", [*MOMENTS, None])
def test_an_upgrade_that_is_killed_leaves_a_guest_that_converges(guest, monkeypatch, moment, checked_out):
    def kill(reached):
        if reached == moment:
            raise Killed

    if checked_out:
        guest.check_out(checked_out)
    monkeypatch.setattr(_failpoints, "failpoint", kill)
    if moment:
        with pytest.raises(Killed):
            guest.install("new")
    else:
        guest.install("new")
    assert guest.releases() != ("old", "new")

    asked = guest.run("gate")
    assert (asked.returncode, asked.stdout) == (0, "converge needed: the guest has just started\n"), asked.stderr
    # What a converge begins with; it would end in it where program and library did not understand each other.
    paused = guest.run("pause", "1h")
    assert (paused.returncode, paused.stderr) == (0, "")
    asked = guest.run("gate")
    assert (asked.returncode, asked.stdout[:12]) == (10, "paused until")

    monkeypatch.undo()
    guest.install("new")
    assert guest.releases() == ("new", "new")
    assert guest.run("gate").returncode == 10


def test_a_downgrade_by_the_release_before(guest):
    """It switches the library first, and is killed then."""
    guest.install("new")
    (guest.library / "current").unlink()
    (guest.library / "current").symlink_to(guest.commits["old"])
    assert guest.releases() == ("new", "old")
    assert guest.run("gate").stdout == "converge needed: the guest has just started\n"
    assert guest.run("status").stdout.startswith("gate:   needs a converge: the guest has just started\n")


def test_why_the_program_goes_first(guest):
    """The old one's gate does not understand the new library, and would say so for ever."""
    old = guest.program.read_bytes()
    guest.install("new")
    guest.program.write_bytes(old)
    assert guest.releases() == ("old", "new")
    assert guest.run("gate").stdout.startswith("converge needed: the gate failed: ImportError: ")


@pytest.mark.parametrize("checked_out", ["old", "new"])
def test_a_lost_library(guest, checked_out):
    """The checkout serves for it."""
    guest.install("new")
    guest.check_out(checked_out)
    shutil.rmtree(guest.library)
    assert guest.run("gate").stdout == "converge needed: the guest has just started\n"
    assert guest.run("pause").returncode == 0
    assert guest.run("gate").returncode == 10


def test_a_lost_library_and_a_kill_between_the_new_checkout_and_the_installation(guest):
    """The old program has nothing but the new release to run from, and converges with that."""
    guest.check_out("new")
    shutil.rmtree(guest.library)
    asked = guest.run("gate")
    assert asked.returncode == 0
    assert asked.stdout.startswith("converge needed: the gate failed: ImportError: ")
    # What a converge begins with.
    paused = guest.run("pause", "1h")
    assert (paused.returncode, paused.stderr) == (0, "")
    guest.install("new")
    assert guest.releases() == ("new", "new")
    assert guest.run("gate").stdout[:12] == "paused until"


def test_a_lost_program_leaves_the_library_in_use_alone(guest, monkeypatch):
    guest.install("new")
    library = guest.library / guest.commits["new"]
    before = library.stat()
    guest.program.unlink()
    reached = []
    monkeypatch.setattr(_failpoints, "failpoint", reached.append)
    guest.install("new")
    assert reached == ["felhom-base-infra: staged", "felhom-base-infra: renamed", "program: installed"]
    assert guest.releases() == ("new", "new")
    assert (library.stat().st_ino, library.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_library_that_lost_its_program_is_unpacked_again(guest):
    guest.install("new")
    (guest.library / "current" / COLLECTION / PROGRAM).unlink()
    guest.install("new")
    assert guest.releases() == ("new", "new")
    assert (guest.library / "current" / COLLECTION / PROGRAM).read_bytes() == guest.program.read_bytes()


def test_a_killed_run_leaves_nothing_that_the_next_release_does_not_remove(guest, monkeypatch):
    def kill(_path):
        raise Killed

    monkeypatch.setattr(guest_collection.tarfile, "open", kill)
    with pytest.raises(Killed):
        guest.install("new")
    monkeypatch.undo()
    (guest.library / "current").unlink()
    guest.install("old")
    assert {path.name for path in guest.library.iterdir()} == {guest.commits["old"], "current"}


def test_a_gate_that_can_not_be_asked_is_a_yes(guest):
    guest.install("new")
    shutil.rmtree(guest.library)
    asked = guest.run("gate")
    assert asked.returncode == 0
    assert asked.stdout.startswith("converge needed: the gate failed: ModuleNotFoundError: ")
    assert guest.run("status").returncode == 1
