"""The guest's own repository: what it takes over, what it refuses, and how it is made anew."""

from __future__ import annotations

import os
import subprocess
from unittest import mock

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import repository as _repository
from hypothesis import given, strategies as st

AUTHOR = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x"}


class Upstream:
    """A repository that somebody works in."""

    def __init__(self, path):
        self.path = str(path)
        self.git("init", "-q", "-b", "main", self.path)

    def git(self, *words):
        command = ["git", *(["-C", self.path] if words[0] != "init" else []), *words]
        environment = os.environ | AUTHOR | {"GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()

    def commit(self, text, *options):
        self.git("commit", "-q", "--allow-empty", "-m", text, *options)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def upstream(tmp_path):
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def mirror(tmp_path):
    return _repository.Repository(str(tmp_path / "state/mirror.git"), "main")


def update(mirror, upstream, **options):
    return mirror.advance(mirror.receive(upstream.path, "refs/heads/main"), **options)


def test_it_follows(mirror, upstream):
    first = upstream.commit("one")
    assert update(mirror, upstream) and mirror.head() == first
    assert not update(mirror, upstream)
    second = upstream.commit("two")
    assert update(mirror, upstream) and mirror.head() == second
    assert mirror.is_whole()


def test_a_question_writes_nothing(upstream, tmp_path):
    """A full disk is no reason to take a checkout for broken."""
    path = tmp_path / "upstream/file"
    path.write_text("text")
    upstream.git("add", "file")
    upstream.commit("one")
    os.utime(path, (1, 1))  # Git would write down that this is still the same
    index = tmp_path / "upstream/.git/index"
    before = index.stat()
    repository = _repository.Repository(str(tmp_path / "upstream/.git"), "")
    assert repository.git("--work-tree", upstream.path, "status", "--porcelain") == ""
    assert (index.stat().st_ino, index.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_it_takes_no_rewind(mirror, upstream):
    upstream.commit("one")
    second = upstream.commit("two")
    update(mirror, upstream)
    upstream.git("reset", "-q", "--hard", "HEAD~1")
    assert not update(mirror, upstream)
    other = upstream.commit("another two")
    with pytest.raises(_repository.Refused, match=f"commit {other[:12]} has another history than {second[:12]}"):
        update(mirror, upstream)
    assert mirror.head() == second
    assert update(mirror, upstream, rewind=True) and mirror.head() == other
    # What was left out is gone.
    with pytest.raises(_repository.GitError):
        mirror.git("cat-file", "-e", second)


def test_it_asks_for_a_signature(mirror, upstream, tmp_path):
    for name in ("ours", "theirs"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"x@x {(tmp_path / 'ours.pub').read_text()}")

    def signed(text, key):
        how = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={tmp_path / key}"]
        upstream.git(*how, "commit", "-q", "-S", "--allow-empty", "-m", text)
        return upstream.git("rev-parse", "HEAD")

    ours = signed("one", "ours")
    assert update(mirror, upstream, signers=str(signers)) and mirror.head() == ours
    for wrong in (lambda: signed("two", "theirs"), lambda: upstream.commit("three")):
        commit = wrong()
        with pytest.raises(_repository.Refused, match=f"commit {commit[:12]} is not signed by anybody in"):
            update(mirror, upstream, signers=str(signers))
        assert mirror.head() == ours


def test_nowhere_to_fetch_from(mirror, tmp_path):
    with pytest.raises(_repository.GitError, match="git fetch: "):
        mirror.receive(str(tmp_path / "nothing"), "HEAD")


def test_a_broken_one_is_made_anew(mirror, upstream, tmp_path):
    commit = upstream.commit("one")
    update(mirror, upstream)
    for path in (tmp_path / "state/mirror.git/objects").rglob("*"):
        if path.is_file():
            path.unlink()
    assert not mirror.is_whole()
    bundle = tmp_path / "collection.bundle"
    upstream.git("bundle", "create", str(bundle), "HEAD")
    assert _repository.remake(mirror, [(str(tmp_path / "gone"), "HEAD"), (str(bundle), "HEAD")]) == str(bundle)
    assert mirror.is_whole() and mirror.head() == commit


def test_nothing_to_make_it_of(mirror, tmp_path):
    with pytest.raises(_repository.GitError, match="mirror.git is broken, and so is .*gone and .*bundle"):
        _repository.remake(mirror, [(str(tmp_path / "gone"), "HEAD"), (str(tmp_path / "bundle"), "HEAD")])
    assert not (tmp_path / "state/mirror.git.new").exists()


@given(st.integers(1, 255), st.one_of(st.text(max_size=60), st.text("a: \n\r\t\v\x85\u2028", max_size=30)))
def test_whatever_git_says_the_reason_is_one_line(status, said):
    done = subprocess.CompletedProcess([], status, "", said)
    with (
        mock.patch.object(_repository.subprocess, "run", return_value=done),
        pytest.raises(_repository.GitError, match="^git fetch: .") as failed,
    ):
        _repository.Repository("/mirror.git", "main").git("fetch", "--quiet")
    assert len(str(failed.value).splitlines()) == 1


@pytest.mark.parametrize(
    "error, reason",
    [
        (FileNotFoundError(2, "No such file or directory", "git"), "No such file or directory: 'git'"),
        (subprocess.TimeoutExpired(["git", "fetch"], 300), "timed out after 300 seconds"),
    ],
)
def test_a_git_that_is_not_there_or_hangs(error, reason):
    mirror = _repository.Repository("/mirror.git", "main")
    with mock.patch.object(_repository.subprocess, "run", side_effect=error):
        with pytest.raises(_repository.GitError, match=f"^git fetch: .*{reason}"):
            mirror.git("fetch")
        assert mirror.head() == "" and not mirror.is_whole() and not mirror.is_ancestor("a", "b")
