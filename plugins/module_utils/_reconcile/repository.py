# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's own repository of this collection: taking commits over, making it anew. Private to this collection."""

from __future__ import annotations

import os
import shutil
import subprocess

_INCOMING = "refs/felhom/incoming"  # where a commit lies until it is known to be good
_PATIENCE = 300  # seconds for one run of Git
# A person is never there to be asked.
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    # A question writes nothing. On a full disk 'git status' ended with "fatal: … index.lock write error. Out of
    # diskspace", which was taken for a checkout that is not whole, and that was removed.
    "GIT_OPTIONAL_LOCKS": "0",
}


class GitError(Exception):
    """Git did not do it. The text is one line."""


class Refused(Exception):
    """A commit is there that must not be taken. The text is one line."""


class Repository:
    """A bare repository and its one branch."""

    def __init__(self, path: str, ref: str) -> None:
        self.path, self.branch = path, f"refs/heads/{ref}"

    def git(self, *words: str) -> str:
        """Run Git on it. Raises GitError."""
        command = ["git", "--git-dir", self.path, *words]
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE,
                env=os.environ | _ENVIRONMENT,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GitError(f"git {words[0]}: {error}") from error
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise GitError(f"git {words[0]}: {said[-1] if said else f'status {done.returncode}'}")
        return done.stdout.strip()

    def head(self) -> str:
        """The branch's commit, "" where there is none."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"{self.branch}^{{commit}}")
        except GitError:
            return ""

    def is_whole(self) -> bool:
        """Whether the branch and all that it needs can be read."""
        try:
            self.git("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
        except GitError:
            return False
        return bool(self.head())

    def is_ancestor(self, one: str, other: str) -> bool:
        """Whether one commit is another's ancestor, or the same. Not, where one of them is not there."""
        try:
            self.git("merge-base", "--is-ancestor", one, other)
        except GitError:
            return False
        return True

    def receive(self, source: str, ref: str) -> str:
        """Bring a commit here from another repository or a bundle, without taking it. Returns it. Raises GitError."""
        if not os.path.isdir(self.path):
            os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
            self.git("init", "--quiet", "--bare", "--initial-branch", self.branch.removeprefix("refs/heads/"))
        self.git("fetch", "--quiet", "--no-tags", source, f"+{ref}:{_INCOMING}")
        return self.git("rev-parse", "--verify", f"{_INCOMING}^{{commit}}")

    def advance(self, commit: str, signers: str = "", rewind: bool = False) -> bool:
        """Move the branch to a commit that is here. Returns whether it moved: not to where it was before already.

        signers is a file of those whose SSH signature is asked for, as ssh-keygen's ALLOWED SIGNERS. Raises Refused for
        a commit that nobody of them has signed, and for another history, unless rewind is set.
        """
        head = self.head()
        if commit == head or (head and not rewind and self.is_ancestor(commit, head)):
            return False
        if head and not rewind and not self.is_ancestor(head, commit):
            raise Refused(f"commit {commit[:12]} has another history than {head[:12]}, which is here")
        if signers:
            trusting = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}"]
            try:
                self.git(*trusting, "verify-commit", commit)
            except GitError as error:
                raise Refused(f"commit {commit[:12]} is not signed by anybody in {signers}") from error
        self.git("update-ref", self.branch, commit)
        self.git("update-ref", "-d", _INCOMING)
        if rewind:
            # What a rewritten history left out, it left out for a reason.
            self.git("gc", "--quiet", "--prune=now")
        return True


def remake(repository: Repository, sources: list[tuple[str, str]]) -> str:
    """Make a repository anew from the first source that has a commit, each a place and a ref. Returns the source.

    What was there stays until the new one is whole. Raises GitError where no source serves.
    """
    new = Repository(f"{repository.path}.new", repository.branch.removeprefix("refs/heads/"))
    for place, ref in sources:
        shutil.rmtree(new.path, ignore_errors=True)
        try:
            new.advance(new.receive(place, ref))
        except GitError:
            continue
        shutil.rmtree(repository.path, ignore_errors=True)
        os.rename(new.path, repository.path)
        return place
    shutil.rmtree(new.path, ignore_errors=True)
    raise GitError(f"{repository.path} is broken, and so is {' and '.join(place for place, _ref in sources)}")
