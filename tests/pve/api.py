#!/usr/bin/env python3
"""A double of Proxmox's API over a cluster's folder: api.py FOLDER [--tls CERTIFICATE KEY]. It prints its port.

Tokens are in FOLDER/tokens.json: {"USER@REALM!ID": {"secret": TEXT, "acl": {"/vms": [PRIVILEGE, …], "/vms/101": […]}}}.
"""

from __future__ import annotations

import argparse
import json
import re
import ssl
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import proxmox  # noqa: E402

_BROADCAST = 10.0  # seconds between two times that the nodes tell each other their guests' names
_REFUSAL = 3.0  # seconds that a 401 takes
_CONFIG = ["VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"]


class Answer(Exception):
    """An answer that is no success. The text is in the reason phrase too."""

    def __init__(self, status: int, text: str, errors: dict[str, str] | None = None, body: bool = True) -> None:
        super().__init__(text)
        self.status, self.text, self.errors, self.body = status, text, errors, body


class Api:
    """What it answers."""

    def __init__(self, folder: str) -> None:
        self.cluster = proxmox.Cluster(folder)
        self.tokens = json.loads((self.cluster.folder / "tokens.json").read_text())
        self._names: dict[int, str] = {}
        self._told = 0.0
        self.routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", r"/version", lambda caller: {"version": "9.1.6", "release": "9.1"}),
            ("GET", r"/nodes", self.nodes),
            ("GET", r"/pools", lambda caller: []),
            ("GET", r"/cluster/resources", self.resources),
            ("GET", r"/nodes/([\w-]+)/lxc", self.lxc),
            ("GET", r"/nodes/([\w-]+)/qemu", lambda caller, node: self.reach(node) or []),
            ("GET", r"/nodes/([\w-]+)/network", lambda caller, node: self.reach(node) or []),
            ("GET", r"/nodes/([\w-]+)/lxc/(\d+)/config", self.config),
            ("PUT", r"/nodes/([\w-]+)/lxc/(\d+)/config", self.update),
            ("GET", r"/nodes/([\w-]+)/lxc/(\d+)/status/current", self.status),
            ("POST", r"/nodes/([\w-]+)/lxc/(\d+)/status/reboot", self.reboot),
            ("GET", r"/nodes/([\w-]+)/lxc/(\d+)/snapshot", lambda caller, node, vmid: [{"name": "current"}]),
            ("GET", r"/nodes/([\w-]+)/lxc/(\d+)/interfaces", lambda caller, node, vmid: []),
            ("GET", r"/nodes/([\w-]+)/tasks/([^/]+)/status", self.task),
        ]
        self.tasks: dict[str, str] = {}

    def caller(self, header: str) -> dict[str, list[str]]:
        """The privileges of a token."""
        if not header:
            raise Answer(401, "No ticket", body=False)
        found = re.fullmatch(r"PVEAPIToken=([^=]+)=(.+)", header)
        token = self.tokens.get(found[1]) if found else None
        if not token or token["secret"] != found[2]:
            raise Answer(401, "Authentication failed!", body=False)
        return token["acl"]

    def answer(self, method: str, path: str, header: str, given: dict[str, str]) -> Any:
        caller = self.caller(header)
        routes = [(verb, call, found) for verb, pattern, call in self.routes if (found := re.fullmatch(pattern, path))]
        for verb, call, found in routes:
            if verb == method:
                words = [int(word) if word.isdigit() else word for word in found.groups()]
                return call(caller, *words, **({"given": given} if call in (self.update, self.config) else {}))
        raise Answer(501, f"Method '{method} {path}' not implemented")

    def reach(self, node: str) -> None:
        if not (self.cluster.pve / "nodes" / node).is_dir():
            raise Answer(
                500,
                f"hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known",
            )
        if node in self.cluster.switch("down").split():
            raise Answer(595, "Network is unreachable", body=False)

    def nodes(self, caller: Any) -> list[dict[str, Any]]:
        down = self.cluster.switch("down").split()
        names = sorted(path.name for path in (self.cluster.pve / "nodes").iterdir())
        return [{"node": name, "type": "node", "status": "offline" if name in down else "online"} for name in names]

    def resources(self, caller: Any) -> list[dict[str, Any]]:
        """The names are those of the last broadcast; a guest that is newer has none."""
        guests = self.cluster.guests()
        if time.monotonic() - self._told > _BROADCAST:
            self._names = {
                vmid: self.cluster.name(vmid, node) for vmid, (node, kind) in guests.items() if kind == "lxc"
            }
            self._told = time.monotonic()
        listed = []
        for vmid, (node, kind) in guests.items():
            if "VM.Audit" not in granted(caller, vmid):
                continue
            entry = {"id": f"{kind}/{vmid}", "vmid": vmid, "node": node, "type": kind, "template": 0}
            entry["status"] = "running" if self._runs(vmid) else "stopped"
            if vmid in self._names:
                entry["name"] = self._names[vmid]
            listed.append(entry)
        return listed

    def lxc(self, caller: Any, node: str) -> list[dict[str, Any]]:
        self.reach(node)
        listed = []
        for vmid, (owner, kind) in self.cluster.guests().items():
            if owner != node or kind != "lxc" or "VM.Audit" not in granted(caller, vmid):
                continue
            config = self.cluster.config(vmid, node)
            entry = {"vmid": vmid, "name": config.get("hostname", f"CT{vmid}"), "type": "lxc"}
            entry["status"] = "running" if self._runs(vmid) else "stopped"
            if "lock" in config:
                entry["lock"] = config["lock"]
            listed.append(entry)
        return listed

    def config(self, caller: Any, node: str, vmid: int, given: dict[str, str]) -> dict[str, str]:
        self.reach(node)
        demand(caller, vmid, ["VM.Audit"])
        return self.cluster.config(vmid, node) | {"digest": self.cluster.digest(vmid, node)}

    def update(self, caller: Any, node: str, vmid: int, given: dict[str, str]) -> None:
        self.reach(node)
        demand(caller, vmid, _CONFIG)
        if unknown := set(given) - {"hostname", "digest", "delete", "revert"}:
            text = "property is not defined in schema and the schema does not allow additional properties"
            raise Answer(400, "Parameter verification failed.", dict.fromkeys(unknown, text))
        changes = {key: value for key, value in given.items() if key == "hostname"}
        if "hostname" in changes:
            # Before privileges of single options, as everywhere in Proxmox.
            proxmox.verify_name(changes["hostname"])
            demand(caller, vmid, ["VM.Config.Network"])
        self.cluster.update(vmid, node, changes, given.get("digest", ""), given.get("delete", ""))
        time.sleep(float(self.cluster.switch("slow") or 0))

    def status(self, caller: Any, node: str, vmid: int) -> dict[str, Any]:
        self.reach(node)
        demand(caller, vmid, ["VM.Audit"])
        return {
            "status": "running" if self._runs(vmid) else "stopped",
            "name": self.cluster.name(vmid, node),
            "vmid": vmid,
        }

    def reboot(self, caller: Any, node: str, vmid: int) -> str:
        self.reach(node)
        demand(caller, vmid, ["VM.PowerMgmt"])
        if not self._runs(vmid):
            raise Answer(500, f"VM {vmid} not running")
        task = f"UPID:{node}:000A1B2C:00D3E4F5:692511AB:vzreboot:{vmid}:ansible@pve!felhom:"
        self.tasks[task] = "running"
        threading.Thread(target=self._reboot, args=(vmid, task)).start()
        return task

    def _reboot(self, vmid: int, task: str) -> None:
        try:
            # By the program: a guest's monitor is no child of a server with threads.
            program = self.cluster.folder / "bin/pct"
            done = proxmox.subprocess.run([program, "reboot", str(vmid)], capture_output=True, text=True)
            self.tasks[task] = done.stderr.strip() or "OK"
        except OSError as error:
            self.tasks[task] = str(error)

    def task(self, caller: Any, node: str, task: str) -> dict[str, str]:
        state = self.tasks[urllib.parse.unquote(task)]
        return {"status": "running"} if state == "running" else {"status": "stopped", "exitstatus": state}

    def _runs(self, vmid: int) -> bool:
        return vmid in self._running

    def look(self) -> None:
        """Once a request, as Proxmox does."""
        text = Path("/proc/net/unix").read_text()
        self._running = {int(vmid) for vmid in re.findall(r"@/var/lib/lxc/(\d+)/command", text)}


def granted(acl: dict[str, list[str]], vmid: int) -> list[str]:
    """The nearest path's counts."""
    return acl.get(f"/vms/{vmid}", acl.get("/vms", []))


def demand(acl: dict[str, list[str]], vmid: int, any_of: list[str]) -> None:
    if not set(any_of) & set(granted(acl, vmid)):
        raise Answer(403, f"Permission check failed (/vms/{vmid}, {'|'.join(any_of)})")


def handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in two packets would wait for the other side's delayed acknowledgement.
        wbufsize = -1
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            url = urllib.parse.urlsplit(self.path)
            path = urllib.parse.unquote(url.path).removeprefix("/api2/json")
            given = dict(urllib.parse.parse_qsl(url.query)) | dict(urllib.parse.parse_qsl(body))
            api.cluster.called(f"{self.command} {path}")
            api.look()
            try:
                self.reply(
                    200, "OK", {"data": api.answer(self.command, path, self.headers.get("Authorization", ""), given)}
                )
            except proxmox.Die as error:
                self.fail(Answer(error.status, error.text, error.errors))
            except Answer as error:
                if error.status == 401:
                    time.sleep(_REFUSAL)
                self.fail(error)

        def fail(self, error: Answer) -> None:
            body = {"data": None, "message": error.text + "\n"} | ({"errors": error.errors} if error.errors else {})
            self.reply(error.status, error.text, body if error.body else None)

        def reply(self, status: int, reason: str, body: dict[str, Any] | None) -> None:
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status, " ".join(reason.split()))
            self.send_header("Content-Type", "application/json;charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = handle_any

        def log_message(self, *words: object) -> None:
            pass

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--tls", nargs=2)
    arguments = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Api(arguments.folder)))
    server.daemon_threads = True
    if arguments.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
