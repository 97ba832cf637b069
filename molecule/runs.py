"""ansible-playbook as an operator runs it, hundreds of times.

A third of a converge with nothing to do is Ansible's own imports. A process that has done them forks for each run.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GUEST = os.environ.get("MOLECULE_SCENARIO_NAME", "default")


class Done:
    """A finished run: exit status and output."""

    def __init__(self, status: int, output: str) -> None:
        self.status, self.output = status, output


def run(*words: str, **settings: str) -> Done:
    """Run ansible-playbook in the checkout, with settings in its environment."""
    # Molecule's own settings, such as colours, stay out.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_"))}
    environment |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")} | settings
    # Ansible reads these when it is imported.
    imported = json.dumps({key: value for key, value in settings.items() if key.startswith("ANSIBLE_")})
    if imported not in _servers:
        _servers[imported] = _Server(environment)
    with tempfile.NamedTemporaryFile("r", prefix="playbook-") as output:
        status = _servers[imported].ask({"words": words, "environment": environment, "output": output.name})
        return Done(status, output.read())


class _Server:
    """The process with Ansible imported. It ends when its input does, so with whoever started it."""

    def __init__(self, environment: dict[str, str]) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([sys.executable, __file__], cwd=ROOT, env=environment, text=True, **pipes)
        atexit.register(self._process.stdin.close)

    def ask(self, request: dict) -> int:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


_servers: dict[str, _Server] = {}


def serve() -> None:
    """One run after the other, each in a fork."""
    from ansible.cli.playbook import PlaybookCLI

    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            status = 250
            try:
                output = os.open(request["output"], os.O_WRONLY | os.O_TRUNC)
                nothing = os.open(os.devnull, os.O_RDONLY)
                for old, new in ((nothing, 0), (output, 1), (output, 2)):
                    os.dup2(old, new)
                os.environ.clear()
                os.environ.update(request["environment"])
                # Names of temporary files and jobs are drawn by chance; forks would all draw the same.
                random.seed()
                PlaybookCLI.cli_executor(["ansible-playbook", *request["words"]])
            except SystemExit as ended:
                status = int(ended.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _pid, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    serve()
