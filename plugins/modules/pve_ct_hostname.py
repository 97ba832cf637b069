#!/usr/bin/python
# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pve_ct_hostname
short_description: Give containers of Proxmox their host names
version_added: 0.1.0
author:
  - The felhom.base_infra maintainers (@felhom)
description:
  - Sets the configured host name of one container, or of many in one execution. All guests are read at once, and only
    what differs is written.
  - A write carries the digest of the configuration that was read, so that somebody else's edit is never overwritten. A
    guest that somebody else renamed meanwhile is left alone, and reported.
  - A container that is locked, by a backup for instance, is tried again until O(lock_timeout) is over, and then
    reported with its lock. The others are done meanwhile. The module fails at the end if any guest failed.
  - A name has three places. The configuration has it at once. The running system, and C(/etc/hostname) in the guest,
    get it from Proxmox at the guest's next start; O(running_guests) can bring that forward. Each place is reported with
    its name and when the new one takes effect.
requirements:
  - Method V(pct) runs on a Proxmox node, as root. It needs no Python library.
  - Method V(api) needs the Python libraries C(proxmoxer), 2.0 or newer, and C(requests).
attributes:
  check_mode:
    support: full
    description: Reads configurations and running guests, and says what would be changed. Does not wait for a lock.
  diff_mode:
    support: full
    description: The names that differ, before and after.
notes:
  - The API token needs the privileges C(VM.Audit) and C(VM.Config.Network) on C(/vms), or on each C(/vms/ID), and
    C(VM.PowerMgmt) to restart guests. A token with privilege separation needs them as well as its user. The API does
    not list guests without C(VM.Audit), so a name that one of them has is not found either.
  - Refuses a name with which a guest would not start. Proxmox takes 255 characters; a guest does not start with more
    than 64, its domain included, and a label has 63. V(localhost) is refused.
  - By V(pct) a write takes about a second, by V(api) a tenth of one. Reading the name of a running guest takes some
    milliseconds.
  - The block that Proxmox keeps in the guest's C(/etc/hosts) follows at the guest's next start. A program that has
    read its host name keeps what it has read.
seealso:
  - plugin: felhom.base_infra.dns_label
    plugin_type: filter
  - module: felhom.base_infra.pve_ct_bootstrap_info
options:
  vmid:
    description: Id of one container.
    type: int
  hostname:
    description: Name for O(vmid).
    type: str
  hostnames:
    description: Names by container id, for many at once.
    type: dict
  method:
    description:
      - With V(pct), by the node's own files and command. Containers of other nodes can be read, not written.
      - With V(api), by the cluster's API, which reaches all nodes.
      - With V(auto), V(pct) where this runs on a Proxmox node and V(api) elsewhere.
    type: str
    choices: [auto, pct, api]
    default: auto
  elsewhere:
    description:
      - What to do with a container of another node, with method V(pct).
      - V(fail) fails and names the node. V(report) only returns it in RV(elsewhere), for plays that run on several
        nodes of a cluster.
    type: str
    choices: [fail, report]
    default: fail
  allow_shared_names:
    description:
      - Whether two containers may have the same name; case does not count. If not, a name that another container has or
        is to get is not written. A container that has its name already is left alone.
    type: bool
    default: false
  lock_timeout:
    description: Seconds during which locked containers, all of them together, are tried again.
    type: int
    default: 60
  running_guests:
    description:
      - What to do with a guest that runs under another name than the configured one.
      - With V(report), only report it.
      - With V(rename), set the name of the running system and its C(/etc/hostname) in it, without a restart. Needs
        method V(pct). C(/etc/hostname) is left alone if C(/etc/.pve-ignore.hostname) keeps Proxmox from writing it.
      - With V(restart), shut it down and start it within O(restart_window). By V(api) only guests whose name was
        written in the same run, since the API does not show a guest's running name.
    type: str
    choices: [report, rename, restart]
    default: report
  restart_window:
    description:
      - When guests may be restarted, such as V(02:00-04:30), in the local time of the host of this module. It may span
        midnight; the whole day is V(00:00-24:00). No restart begins after its end. Needed with
        O(running_guests=restart).
    type: str
  pve_dir:
    description: Where the cluster's file system is mounted, for method V(pct).
    type: path
    default: /etc/pve
  api_host:
    description: A node of the cluster, by a name that its certificate has. Without it, E(PROXMOX_HOST).
    type: str
  api_port:
    description: Port of the API. Without it, E(PROXMOX_PORT).
    type: int
    default: 8006
  api_user:
    description: User of the token, such as V(ansible@pve). Without it, E(PROXMOX_USER).
    type: str
  api_token_id:
    description: Id of the token. Without it, E(PROXMOX_TOKEN_ID).
    type: str
  api_token_secret:
    description: Secret of the token. Without it, E(PROXMOX_TOKEN_SECRET).
    type: str
  validate_certs:
    description: Whether to verify the API's certificate. Without it, E(PROXMOX_VALIDATE_CERTS).
    type: bool
    default: true
  ca_path:
    description:
      - File of the CA to trust, such as a copy of the cluster's C(/etc/pve/pve-root-ca.pem). Without it,
        E(PROXMOX_CA_PATH), else the CAs that C(requests) trusts.
    type: path
  api_timeout:
    description:
      - Seconds to wait for an answer. Proxmox gives a bad token its answer after 3 seconds, and a list of a thousand
        guests takes more than one.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Name one container, on its node
  felhom.base_infra.pve_ct_hostname:
    vmid: 101
    hostname: acme

- name: Name many from their customers' ids, by the API
  felhom.base_infra.pve_ct_hostname:
    hostnames:
      101: "{{ 'ACME' | felhom.base_infra.dns_label }}"
      102: "{{ 'Szűcs & Társa Kft.' | felhom.base_infra.dns_label }}"
    api_host: pve1.example.org
    api_user: ansible@pve
    api_token_id: felhom
    api_token_secret: "{{ pve_token_secret }}"
    ca_path: files/pve-root-ca.pem
  delegate_to: localhost

- name: Name one, with effect on the running guest at once
  felhom.base_infra.pve_ct_hostname:
    vmid: 101
    hostname: acme
    running_guests: rename
"""

RETURN = r"""
guests:
  description:
    - Each container by its id. Its C(result) is V(right) (has the name already), V(renamed) (in check mode, would be),
      V(elsewhere) or V(failed).
  type: dict
  returned: always
  contains:
    node:
      description: Its node.
      type: str
    result:
      description: What became of its name.
      type: str
    status:
      description: V(running) or V(stopped), as it was read at the beginning.
      type: str
      returned: as the three places below, where its configuration is known and could be written
    before:
      description: The configured name before.
      type: str
    message:
      description: The error, or a note.
      type: str
      returned: when there is something
    actions:
      description: What was done to the running guest, of V(renamed inside) and V(restarted).
      type: list
      elements: str
    configured:
      description: The C(name) in the configuration, C(effective) V(now).
      type: dict
    running:
      description:
        - The C(name) of the running system, null where that is not known, and when it is C(effective) as configured,
          V(now), V(next start) or V(unknown). By V(api) it is not known.
      type: dict
    file:
      description: The same of C(/etc/hostname) in the guest; V(never) where C(/etc/.pve-ignore.hostname) prevents it.
      type: dict
failed_guests:
  description: Errors by container id.
  type: dict
  returned: always
elsewhere:
  description: Nodes of containers on other nodes that have another name, by container id.
  type: dict
  returned: always
restart_needed:
  description: Ids of guests that run under another name until their next start.
  type: list
  elements: int
  returned: always
counts:
  description: How many guests had each result, and how many names were written, C(writes).
  type: dict
  returned: always
  sample: {right: 960, renamed: 37, elsewhere: 0, failed: 3, writes: 37}
summary:
  description: All this in a line.
  type: str
  returned: always
  sample: "pve1: 960 right, 37 renamed, 3 failed; at their next start: 10000, 10003"
method:
  description: V(pct) or V(api).
  type: str
  returned: always
node:
  description: The node on which this ran, empty with method V(api).
  type: str
  returned: always
"""

import dataclasses
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import (
    effect as _effect,
    pct as _pct,
    plan as _plan,
    rename as _rename,
)

_SHOWN = 20  # failed guests in the message; all are in the result
_API = ["api_host", "api_user", "api_token_id", "api_token_secret"]


def main() -> None:
    """Read, plan, write, report."""
    module = AnsibleModule(
        argument_spec=arguments(),
        mutually_exclusive=[("vmid", "hostnames"), ("hostname", "hostnames")],
        required_one_of=[("vmid", "hostnames")],
        required_together=[("vmid", "hostname")],
        required_if=[("running_guests", "restart", ("restart_window",))],
        supports_check_mode=True,
    )
    given = module.params
    try:
        wanted = _plan.parse_wanted(
            {given["vmid"]: given["hostname"]} if given["hostnames"] is None else given["hostnames"]
        )
        window = _plan.parse_window(given["restart_window"]) if given["restart_window"] else None
        policy = _effect.Policy(given["running_guests"], window, module.check_mode)
        client = connect(module)
        guests = client.guests()
    except (_plan.Problem, _plan.Unusable) as error:
        module.fail_json(msg=str(error))
    unread = {vmid: reason for vmid in wanted if (reason := client.unseen(vmid, guests))}
    plan = _plan.plan(wanted, guests, unread, client.node, given["allow_shared_names"])
    if given["elsewhere"] == "fail":
        plan.problems |= {
            vmid: f"is on node {node}; expected one of {client.node}" for vmid, node in plan.elsewhere.items()
        }
    outcomes = rename(module, client, plan, guests)
    report: dict[str, dict[str, Any]] = {}
    for vmid in wanted:
        outcome = outcomes.get(vmid) or _rename.Outcome(
            guests.get(vmid, _plan.Container(vmid, "")), False, plan.problems.get(vmid, "")
        )
        report[str(vmid)] = describe(client, outcome, guests, policy)
        if vmid in plan.elsewhere and vmid not in plan.problems:
            report[str(vmid)]["result"] = "elsewhere"
    finish(module, client, report)


def arguments() -> dict[str, Any]:
    """The options."""
    return {
        "vmid": {"type": "int"},
        "hostname": {"type": "str"},
        "hostnames": {"type": "dict"},
        "method": {"type": "str", "choices": ["auto", "pct", "api"], "default": "auto"},
        "elsewhere": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        "allow_shared_names": {"type": "bool", "default": False},
        "lock_timeout": {"type": "int", "default": 60},
        "running_guests": {"type": "str", "choices": ["report", "rename", "restart"], "default": "report"},
        "restart_window": {"type": "str"},
        "pve_dir": {"type": "path", "default": "/etc/pve"},
        "api_host": {"type": "str", "fallback": (env_fallback, ["PROXMOX_HOST"])},
        "api_port": {"type": "int", "default": 8006, "fallback": (env_fallback, ["PROXMOX_PORT"])},
        "api_user": {"type": "str", "fallback": (env_fallback, ["PROXMOX_USER"])},
        "api_token_id": {"type": "str", "no_log": False, "fallback": (env_fallback, ["PROXMOX_TOKEN_ID"])},
        "api_token_secret": {"type": "str", "no_log": True, "fallback": (env_fallback, ["PROXMOX_TOKEN_SECRET"])},
        "validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["PROXMOX_VALIDATE_CERTS"])},
        "ca_path": {"type": "path", "fallback": (env_fallback, ["PROXMOX_CA_PATH"])},
        "api_timeout": {"type": "int", "default": 30},
    }


def connect(module: AnsibleModule) -> _effect.Client:
    """The way to the guests. Raises Problem, Unusable."""
    given = module.params
    on_node = os.path.lexists(os.path.join(given["pve_dir"], "local"))
    if given["method"] == "pct" or (given["method"] == "auto" and on_node):
        return _pct.PctClient(_pct.runner(module), given["pve_dir"])
    missing = [name for name in _API if not given[name]]
    if missing:
        here = "" if given["method"] == "api" else f"this is no Proxmox node ({given['pve_dir']}/local), and "
        raise _plan.Problem(f"{here}{', '.join(missing)} not given; expected them to reach the API")
    if given["running_guests"] == "rename":
        raise _plan.Problem("running_guests: found rename; expected report or restart, the API can't rename inside")
    # Not for pct, where nobody needs its libraries: importing them takes as long as reading a thousand guests.
    from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import api as _api

    if _api.MISSING:
        module.fail_json(msg=missing_required_lib(_api.MISSING))
    ca_path = given["ca_path"]
    if ca_path and not os.path.isfile(ca_path):
        raise _plan.Problem(f"ca_path: found no file {ca_path}; expected a CA's certificate")
    verify: bool | str = given["validate_certs"] and (ca_path or True)
    return _api.ApiClient(
        _api.Access(
            given["api_host"],
            given["api_port"],
            given["api_user"],
            given["api_token_id"],
            given["api_token_secret"],
            verify,
            given["api_timeout"],
        )
    )


def rename(
    module: AnsibleModule, client: _effect.Client, plan: _plan.Plan, guests: dict[int, _plan.Container]
) -> dict[int, _rename.Outcome]:
    """What becomes of each name that differs."""
    if not module.check_mode:
        given = module.params
        patience = _rename.Patience(given["lock_timeout"])
        return _rename.rename_all(client, plan.writes, guests, patience, given["allow_shared_names"])
    for vmid in plan.writes:
        if guests[vmid].lock:
            module.warn(f"container {vmid} is locked ({guests[vmid].lock}) now")
    return {
        vmid: _rename.Outcome(dataclasses.replace(guests[vmid], name=name), True) for vmid, name in plan.writes.items()
    }


def describe(
    client: _effect.Client, outcome: _rename.Outcome, guests: dict[int, _plan.Container], policy: _effect.Policy
) -> dict[str, Any]:
    """A guest's part of the result, after its name was brought into effect."""
    guest = outcome.guest
    read = guests.get(guest.vmid, guest)
    entry: dict[str, Any] = {
        "node": guest.node,
        "before": read.name,
        "written": outcome.written,
        "actions": [],
    }
    problem, note = outcome.problem, ""
    if guest.name and guest.kind == "lxc" and not (problem and not outcome.written):
        effect = _effect.take_effect(client, guest, outcome.written, policy)
        entry |= {"status": "running" if guest.running else "stopped", "actions": effect.done, **effect.legs}
        problem, note = problem or effect.problem, effect.note
    entry["result"] = "failed" if problem else "renamed" if outcome.written else "right"
    return entry | ({"message": problem or note} if problem or note else {})


def finish(module: AnsibleModule, client: _effect.Client, report: dict[str, dict[str, Any]]) -> None:
    """Hand the result over."""
    failed = {vmid: entry["message"] for vmid, entry in report.items() if entry["result"] == "failed"}
    results = [entry["result"] for entry in report.values()]
    writes = sum(entry.pop("written") for entry in report.values())
    before, after = differences(report)
    counts = {name: results.count(name) for name in ("right", "renamed", "elsewhere", "failed")}
    restart_needed = [
        int(vmid)
        for vmid, entry in report.items()
        if entry.get("status") == "running" and entry["running"]["effective"] == "next start"
    ]
    result: dict[str, Any] = {
        "changed": bool(before or after),
        "guests": report,
        "failed_guests": failed,
        "elsewhere": {vmid: entry["node"] for vmid, entry in report.items() if entry["result"] == "elsewhere"},
        "restart_needed": restart_needed,
        "counts": counts | {"writes": writes},
        "summary": summarise(client.node or "all nodes", counts, restart_needed),
        "method": client.method,
        "node": client.node,
        "diff": {"before": before, "after": after},
    }
    if failed:
        entry = [f"{vmid} {message}" for vmid, message in failed.items()]
        more = f"; and {len(entry) - _SHOWN} more" if len(entry) > _SHOWN else ""
        module.fail_json(msg=f"{len(entry)} of {len(report)} guests: {'; '.join(entry[:_SHOWN])}{more}", **result)
    module.exit_json(**result)


def summarise(where: str, counts: dict[str, int], restart_needed: list[int]) -> str:
    """The result in a line."""
    done = ", ".join(f"{number} {result}" for result, number in counts.items() if number)
    more = f" and {len(restart_needed) - _SHOWN} more" if len(restart_needed) > _SHOWN else ""
    later = f"; at their next start: {', '.join(str(vmid) for vmid in restart_needed[:_SHOWN])}{more}"
    return f"{where}: {done}{later if restart_needed else ''}"


def differences(report: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """What was one way before and is another now, as two texts."""
    before, after = "", ""
    for vmid, entry in report.items():
        if entry.get("configured", {}).get("name", entry["before"]) != entry["before"]:
            before += f"{vmid}: {entry['before']}\n"
            after += f"{vmid}: {entry['configured']['name']}\n"
        after += "".join(f"{vmid}: {action}\n" for action in entry["actions"])
    return before, after


if __name__ == "__main__":
    main()
