"""The registry, walked: all that a check may say has a state in which it says it, and a remedy of its kind."""

from __future__ import annotations

import errno
import inspect
import re
from types import SimpleNamespace

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from ansible_collections.felhom.base_infra.plugins.module_utils._health import (
    check as _check,
    preflight as _preflight,
    registry as _registry,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks import guest as _guest, proxy as _proxy
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks.browser import Browser, Listed
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks.controller import (
    Controller,
    Place,
    Proof,
    SharedPath,
    Sight,
)
from ansible_collections.felhom.base_infra.plugins.module_utils._health.checks.stacks import Access
from ansible_collections.felhom.base_infra.plugins.module_utils._reconcile import state as _state
from sample import IMAGE, PIN, TUNNEL_LOGS, engine_for

CHECKS = {declared.id: declared for declared in (*_registry.CHECKS, *_preflight.CHECKS)}
REMEDIES = {_check.NOTHING, _check.PASSES, _check.CONVERGED, _check.COMMAND, _check.PERSON, _check.ANOTHER}

RECORD = {
    "project_dir": "/opt/docker/traefik",
    "wait": "healthy",
    "directories": {},
    "files": {},
    "services": {"traefik": {"container": "traefik", "image": PIN, "digest": "d", "networks": ["traefik-public"]}},
}
STACKS = {"traefik": RECORD}
OUTSIDE = {"traefik": RECORD | {"wait": "none"}}
NAMES = ["traefik"]


def engine(**changes):
    return engine_for(SimpleNamespace(record=RECORD), **changes)


def container(**changes):
    return engine(**changes).containers[0]


HOST = "files.example.test"
NOW = 1_800_000_000
DAY = 86400
GIB = 1 << 30
NEGOTIATES = {"ApiVersion": "1.52", "MinAPIVersion": "1.44", "Version": "29.1.0"}
BY_HAND = Controller("4f1c0d6b2a94", 12, [], "", "", False)
COMPOSED = BY_HAND._replace(project="theirs", compose_files="/root/c.yml")
OURS = BY_HAND._replace(project="felhom-controller", ours=True)
STACKS_DIR = "/opt/docker/stacks"
APART = [SharedPath(STACKS_DIR, "stacks", True, Place(1, 2, "folder", False), None)]
MOUNTED = OURS._replace(mounts=[STACKS_DIR])
OTHER = [SharedPath(STACKS_DIR, "stacks", True, Place(1, 2, "folder", False), Place(1, 3, "folder", False))]
SAME = [SharedPath(STACKS_DIR, "stacks", True, Place(1, 2, "folder", False), Place(1, 2, "folder", False))]
FOLDER = Access("/mnt/a b", False, True, True, False, "0:0", "0755", "1000:1000", "101000:101000")
GONE = [SharedPath("/srv/disk", "app", False, None, None)]


def certificate(days, issuer="CN = R11", said=""):
    return HOST, _proxy.Served(_proxy.Certificate(issuer, NOW + days * DAY), said=said), NOW, 2


def browser(*sources, **changes):
    return Browser("admin", 200, ["admin", "somebody"], list(sources))._replace(**changes)


def hops(verdict):
    return HOST, {"proxy": [], "app": [_check.Check("container.filebrowser", verdict, "is ill", "mend it")]}


# For each check, by what it says: what it was given.
STATES = {
    "pause": {"paused": (_state.Pause(0.0, 1.0),)},
    "configuration": {"waiting": ("customer.domain in controller.yaml",)},
    "converge": {"failed": ("no image",)},
    "identity.{part}": {
        "machine_id": (["machine-id"],),
        "ssh_host_keys": (["ssh-host-keys"],),
        "hostname": (["hostname"],),
    },
    "disk.{path}": {
        "ok": ([_guest.Space("/", 5 * GIB, 8 * GIB, 90, 100)],),
        "low": ([_guest.Space("/", GIB // 2, 8 * GIB, 90, 100)],),
        "full": ([_guest.Space("/", 5 * GIB, 8 * GIB, 1, 100)],),
    },
    "engine": {"ok": (NEGOTIATES, ""), "silent": ({}, "no answer from the Docker engine")},
    "golden": {
        "ok": (IMAGE, engine(), False),
        "incomplete": (IMAGE, engine(), True),
    },
    "manifest": {"unreadable": ("manifest.json: not a readable JSON file",)},
    "stacks": {"none": ({}, "")},
    "engine.api": {
        "ok": (NEGOTIATES, PIN),
        "too_new": (NEGOTIATES, "traefik:v3.6.0@sha256:1"),
        "too_old": ({"ApiVersion": "1.43", "MinAPIVersion": "1.12"}, PIN),
    },
    "container.{name}": {
        "ok": (NAMES, STACKS, engine(health="")),
        "healthy": (NAMES, STACKS, engine()),
        "missing": (NAMES, STACKS, engine(name="other")),
        "missing_elsewhere": (NAMES, {}, engine(name="other")),
        "restarting": (NAMES, OUTSIDE, engine(state="restarting", health="")),
        "stopped": (NAMES, STACKS, engine(state="exited")),
        "stopped_elsewhere": (NAMES, {}, engine(state="exited")),
        "unhealthy": (NAMES, STACKS, engine(health="unhealthy")),
        "unhealthy_outside": (NAMES, OUTSIDE, engine(health="unhealthy")),
        "starting": (NAMES, STACKS, engine(health="starting")),
    },
    "pin.{name}": {"ok": (STACKS, engine()), "other": (STACKS, engine(image_id="sha256:other"))},
    "network.{network}": {
        "ok": ("traefik-public", engine()),
        "missing": ("traefik-public", engine()._replace(networks={})),
    },
    "stack.{stack}": {"ok": ({"traefik": []},), "drift": ({"traefik": ["traefik.yml is missing"]},)},
    "access.{path}": {
        "ok": ([FOLDER],),
        "denied": ([FOLDER._replace(may_write=False)],),
        "unmapped": ([FOLDER._replace(may_read=False, may_write=False, owner="65534:65534")],),
        "locked": ([FOLDER._replace(may_write=False, mount_is_read_only=True)],),
    },
    "tunnel": {
        "ok": (container(), []),
        "refused": (container(health="starting"), TUNNEL_LOGS["refused"]),
        "ended": (container(health="starting"), TUNNEL_LOGS["ended"]),
        "no_udp": (container(health="starting"), TUNNEL_LOGS["no_udp"]),
        "late": (container(), TUNNEL_LOGS["late"]),
        "apart": (container(health="unhealthy"), TUNNEL_LOGS["apart"]),
    },
    "filebrowser.login": {
        "ok": (browser(),),
        "second_factor": (browser(login=403),),
        "not_set": (browser(login=401, said="source not found: /srv/mnt/b (link name: b)"),),
        "unknown": (browser(login=401, accounts=["boss"]),),
        "refused": (browser(login=401),),
        "limited": (browser(login=429),),
        "other": (browser(login="FileBrowser gives no answer: TimeoutError: timed out", accounts=[]),),
    },
    "filebrowser.source.{name}": {
        "ok": (browser(Listed("Photos", "/mnt/photos", True, 200, "")),),
        "locked": (browser(Listed("Photos", "/mnt/photos", False, 500, "user has no access to source: Photos")),),
        "failed": (browser(Listed("Photos", "/mnt/photos", True, 403, "open /srv/mnt/photos: permission denied")),),
    },
    "controller_hostname": {
        "ok": (Sight(BY_HAND), "4f1c0d6b2a94"),
        "ours": (Sight(OURS), "acme-0001"),
        "composed": (Sight(COMPOSED), "acme-0001"),
        "by_hand": (Sight(BY_HAND), "acme-0001"),
    },
    "stack_paths": {
        "ok": (Sight(MOUNTED, [STACKS_DIR], SAME),),
        "stopped": (Sight(OURS._replace(pid=0), [STACKS_DIR], APART),),
        "unreadable": (Sight(OURS, error=PermissionError(13, "Permission denied", "/proc/12/root")),),
        "vanished": (Sight(error=_engine.EngineError("no such container")),),
        "ours": (Sight(OURS, [STACKS_DIR], APART),),
        "composed": (Sight(COMPOSED, [STACKS_DIR], APART),),
        "by_hand": (Sight(BY_HAND, [STACKS_DIR], APART),),
        "missing": (Sight(MOUNTED, [STACKS_DIR], GONE),),
        "replaced": (Sight(MOUNTED, [STACKS_DIR], OTHER),),
    },
    "stack_probe": {
        "ok": (Proof(f"{STACKS_DIR}/probe", "token", "token\n", "", 1.0),),
        "untried": (Proof(untried="the controller does not run"),),
        "unwritable": (Proof(untried=OSError(errno.EROFS, "Read-only file system", STACKS_DIR)),),
        "hanging": (Proof(seconds=60, untried=TimeoutError()),),
        "unread": (Proof(f"{STACKS_DIR}/probe", "token", "", "cat: no such file", 1.0),),
    },
    "proxy.https.{host}": {
        "ok": (HOST, _proxy.Answers(200)),
        "silent": (HOST, _proxy.Answers("ConnectionRefusedError: refused")),
        "unknown": (HOST, _proxy.Answers(404)),
        "dead_end": (HOST, _proxy.Answers(502)),
    },
    "proxy.http.{host}": {
        "ok": (HOST, _proxy.Answers(200, b"", 308, f"https://{HOST}/a?b=c")),
        "silent": (HOST, _proxy.Answers(200, b"", "ConnectionRefusedError: refused")),
        "other": (HOST, _proxy.Answers(200, b"", 200)),
    },
    "certificate.{host}": {
        "ok": certificate(60),
        "none": certificate(300, "CN = TRAEFIK DEFAULT CERT", "9109: Invalid access token"),
        "expired": certificate(-2),
        "overdue": certificate(10),
        "unread": (HOST, _proxy.Served(None, FileNotFoundError(2, "No such file", "openssl")), NOW, 0),
        "broken": (HOST, _proxy.Served(None, ValueError("no issuer in what openssl printed")), NOW, 0),
    },
    "probe.{host}": {"ok": hops("ok"), "stops": hops("fail"), "limps": hops("degraded")},
    "report": {"failed": ("status.json: No space left on device",)},
    "nesting": {"ok": ((0, ""),), "read_only": ((errno.EACCES, "reopen"),), "off": ((errno.EPERM, "fsmount"),)},
    "keyctl": {"ok": (0,), "unknown": (None,), "absent": (errno.ENOSYS,)},
    "storage": {"ok": ("overlay2",), "copies": ("vfs",), "slow": ("fuse-overlayfs",)},
    "compose": {"ok": ("2.26.1",), "absent": ("",)},
    "disk": {"ok": (GIB, GIB), "low": (GIB - 1, GIB)},
    "time": {"ok": (NOW, NOW - 1), "slow": (NOW, NOW + DAY)},
}


def test_every_check_has_an_id_of_its_own():
    assert set(STATES) == set(CHECKS)
    # Those of the engine are the same for the bake and for a guest.
    shared = [declared for declared in _preflight.CHECKS if declared in _registry.CHECKS]
    assert len(CHECKS) == len(_registry.CHECKS) + len(_preflight.CHECKS) - len(shared)


@pytest.mark.parametrize("check_id", CHECKS)
def test_every_check_has_a_state_for_all_that_it_may_say(check_id):
    declared, states = CHECKS[check_id], STATES[check_id]
    assert set(states) == set(declared.outcomes)
    assert any(outcome.verdict != "ok" for outcome in declared.outcomes.values())
    for outcome, observed in states.items():
        assert list(declared.judge(lambda name, /, **_values: name, *observed)) == [outcome]
        (check,) = declared(*observed)
        assert re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(check_id)), check.id)
        assert check.verdict == declared.outcomes[outcome].verdict
        assert check.reason and "{" not in check.reason + check.fix and "\n" not in check.reason + check.fix


@pytest.mark.parametrize("check_id", CHECKS)
def test_what_is_not_ok_has_a_remedy(check_id):
    declared = CHECKS[check_id]
    for name, (verdict, _reason, remedy) in declared.outcomes.items():
        assert verdict in _check.VERDICTS
        assert remedy.kind in REMEDIES, name
        assert (verdict == "ok") == (remedy.kind == _check.NOTHING) == (not remedy.text), name
        assert (_check.CONVERGE in remedy.text) == (remedy.kind == _check.CONVERGED), name
        assert remedy.text.startswith("run '") == (remedy.kind == _check.COMMAND), name
        if remedy.kind == _check.COMMAND:
            assert re.match(r"run '[^']+' on the guest\b", remedy.text), name


@pytest.mark.parametrize("check_id", CHECKS)
def test_a_check_is_given_what_it_says_that_it_observes(check_id):
    declared = CHECKS[check_id]
    assert len(inspect.signature(declared.judge).parameters) == 1 + len(declared.observes)
    assert declared.about and declared.cost in (_check.TICK, _check.CONVERGING, _check.REQUEST, _check.BAKE)
