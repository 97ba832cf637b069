"""Looking through an image: what is found, what is skipped, and what can't be read."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import tempfile

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._golden import (
    audit as _audit,
    secret_scan as _secret_scan,
)
from hypothesis import given, strategies as st
from sample import SECRET

KNOWN = _secret_scan.parse_fingerprints(_secret_scan.fingerprints("password", SECRET))
LINE = f"before {SECRET}\n".encode()


@pytest.fixture
def image(tmp_path):
    """The root of an image with one package, whose file holds what looks like a secret."""
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/tool").write_bytes(LINE)
    (tmp_path / "bin").symlink_to("usr/bin")
    md5 = hashlib.md5(LINE).hexdigest()
    # As dpkg has it; a package may still name the path before /usr was merged.
    (tmp_path / "var/lib/dpkg/info/tool.md5sums").write_text(f"{md5}  bin/tool\n")
    return tmp_path


def found(root, tally=None):
    tally = tally or _audit.Tally()
    return [
        (os.path.relpath(finding.path, root), finding.kind, finding.offset)
        for finding in _audit.files(str(root), KNOWN, tally)
    ]


def test_a_file_of_a_package_is_not_looked_through(image):
    tally = _audit.Tally()
    assert found(image, tally) == []
    assert (tally.files, tally.packaged) == (2, 1)
    assert tally.bytes == len(LINE) + (image / "var/lib/dpkg/info/tool.md5sums").stat().st_size


def test_a_file_of_a_package_that_was_changed_is(image):
    (image / "usr/bin/tool").write_bytes(b"#" + LINE)
    assert found(image) == [("usr/bin/tool", "password", 8)]


def test_what_is_found_in_a_packed_file(image):
    (image / "log.gz").write_bytes(gzip.compress(LINE))
    assert found(image) == [("log.gz (unpacked)", "password", 7)]


def test_what_is_found_by_a_file_s_name(image):
    (image / ".git-credentials").write_text("https://me:" + "pass@git.example.org\n")
    assert found(image) == [(".git-credentials", "git credentials", 5)]


def test_what_is_no_file_is_left_alone(image, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_bytes(LINE)
    (image / "link").symlink_to(outside)
    (image / "folder").symlink_to(outside.parent)
    (image / "empty").touch()
    os.mkfifo(image / "fifo")
    tally = _audit.Tally()
    assert found(image, tally) == [] and tally.files == 2 and tally.unreadable == []


def test_a_file_that_can_not_be_read_is_named(image, monkeypatch):
    lstat = os.lstat

    def broken(path):
        if str(path).endswith("bad-block"):
            raise OSError(5, "Input/output error")
        if str(path).endswith("gone"):
            raise FileNotFoundError(2, "No such file or directory")
        return lstat(path)

    for name in ("bad-block", "gone", "seen"):
        (image / name).write_bytes(LINE)
    monkeypatch.setattr(_audit.os, "lstat", broken)
    tally = _audit.Tally()
    assert found(image, tally) == [("seen", "password", 7)]
    assert tally.unreadable == [f"{image}/bad-block: Input/output error"]


# Recorded in a guest of the test bed, with mounts added that have a blank, letters beyond Latin-1, and no UTF-8 at all.
MOUNTS = (
    b"1040 1039 0:65 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"
    b"1041 1039 254:1 /var/lib/x / rw,relatime - ext4 /dev/vda1 rw\n"
    b"1042 1039 0:66 / /mnt/with\\040blank rw - tmpfs tmpfs rw\n"
    b"1043 1039 0:67 / /mnt/k\xc3\xb6z\xc3\xb6s-f\xc5\xb1t\xc3\xa9s rw - fuse.portal portal rw\n"
    b"1044 1039 0:68 / /mnt/f\xc5\xb1t\xc3\xa9s\\134n rw - tmpfs tmpfs rw\n"
    b"1045 1039 0:69 / /mnt/\xff rw - tmpfs tmpfs rw\n"
)


def test_mounts_that_are_no_part_of_the_image(tmp_path, monkeypatch):
    (tmp_path / "mountinfo").write_bytes(MOUNTS)
    monkeypatch.setattr(_audit, "MOUNTS", str(tmp_path / "mountinfo"))
    assert _audit.virtual_mounts() == {"/proc", "/mnt/with blank", "/mnt/fűtés\\n", os.fsdecode(b"/mnt/\xff")}


def test_what_is_mounted_is_skipped(image, tmp_path, monkeypatch):
    (image / "run").mkdir()
    (image / "run/login").write_bytes(LINE)
    assert found(image) == [("run/login", "password", 7)]
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / {image}/run rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(_audit, "MOUNTS", str(mounts))
    assert found(image) == []


def git(folder, *words, **options):
    author = ["-c", "user.name=x", "-c", "user.email=x@x"]
    command = ["git", "-C", folder, *author, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "mirror.git"
    git(tmp_path, "init", "--quiet", "--bare", str(folder))
    return folder


def blob(repository, text):
    return git(repository, "hash-object", "-w", "--stdin", input=text)


def test_a_history_is_looked_through_to_its_end(repository):
    first = blob(repository, f"x {SECRET}")
    tree = git(repository, "mktree", input=f"100644 blob {first}\tfile\n")
    commit = git(repository, "commit-tree", tree, "-m", f"it was {SECRET}")
    blob(repository, "nothing\nof\ninterest\n")
    findings = list(_audit.history(str(repository), KNOWN))
    assert {(finding.path.removeprefix(f"{repository}: "), finding.kind) for finding in findings} == {
        (f"blob {first[:12]}", "password"),
        (f"commit {commit[:12]}", "password"),
    }
    assert [finding.offset for finding in findings if " blob " in finding.path] == [2]


def test_a_history_without_anything(repository):
    assert list(_audit.history(str(repository), KNOWN)) == []


def test_a_history_that_can_not_be_read_is_not_clean(tmp_path):
    findings = list(_audit.history(str(tmp_path / "nothing"), KNOWN))
    assert findings == [_audit.Finding(str(tmp_path / "nothing"), "a history that can't be read", -1)]


def test_a_broken_object_is_not_clean_and_the_others_are_looked_at(repository):
    broken, secret = blob(repository, "text"), blob(repository, SECRET)
    path = repository / "objects" / broken[:2] / broken[2:]
    path.chmod(0o600)
    path.write_bytes(b"broken")
    findings = {(finding.path, finding.kind) for finding in _audit.history(str(repository), KNOWN)}
    assert findings == {
        (f"{repository}: object {broken[:12]}", "can't be read"),
        (f"{repository}: blob {secret[:12]}", "password"),
    }


FINDINGS = [
    _audit.Finding("/etc/ssl/private/key.pem", "private key", 0),
    _audit.Finding("/etc/ssl/private/key.pem", "password", 7),
    _audit.Finding("/root/.netrc", "netrc password", 3),
]


def test_a_finding_is_allowed_by_its_path_and_kind():
    allowed = [
        _audit.Allowed("/etc/ssl/*", "private key", "made by the package ssl-cert"),
        _audit.Allowed("/etc/ssl/private/key.pem", "private key", "said twice"),
        _audit.Allowed("/home/*", "*", "nobody's"),
    ]
    wrong, right = _audit.sort_out(FINDINGS, allowed)
    assert wrong == FINDINGS[1:]
    assert right == [FINDINGS[0]._asdict() | {"reason": "made by the package ssl-cert"}]
    assert _audit.sort_out(FINDINGS, [_audit.Allowed("*", "*", "x")])[0] == []
    assert _audit.sort_out(FINDINGS, []) == (FINDINGS, [])


def test_a_finding_in_a_line():
    assert str(FINDINGS[1]) == "/etc/ssl/private/key.pem: password at byte 7"
    assert str(_audit.Finding("volume x", "left in the engine", -1)) == "volume x: left in the engine"


@given(st.binary(max_size=200))
def test_any_list_of_a_package_s_files_is_read(content):
    # Not tmp_path, which is one for all examples.
    with tempfile.TemporaryDirectory() as root:
        folder = os.path.join(root, "var/lib/dpkg/info")
        os.makedirs(folder)
        with open(os.path.join(folder, "x.md5sums"), "wb") as stream:
            stream.write(content)
        assert all(isinstance(path, str) for path in _audit.packaged_files(root))
