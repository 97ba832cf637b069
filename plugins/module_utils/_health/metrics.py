# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A health report as Prometheus text, for node_exporter's textfile collector. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.felhom.base_infra.plugins.module_utils._health.check import VERDICTS

NAME = "felhom_base_infra.prom"


def text(report: dict[str, Any], now: int) -> str:
    """Everything that changes slowly enough to be worth a time series. Reasons are not: each would be a new one."""
    lines = _metric("verdict", "The guest's verdict.", _one_of(report["verdict"], {}))
    each = [sample for check in report["checks"] for sample in _one_of(check["verdict"], {"check": check["id"]})]
    lines += _metric("check", "The verdict of each check.", each)
    certificate, converged = report["facts"]["certificate"], report["facts"]["converged"]
    if certificate:
        labels = {"host": certificate["host"], "issuer": certificate["issuer"]}
        lines += _metric(
            "certificate_expiry_timestamp_seconds", "When the certificate ends.", [(labels, certificate["expires"])]
        )
    if converged:
        samples = [({"result": converged["result"]}, converged["time"])]
        lines += _metric("converged_timestamp_seconds", "When the last converge ended well.", samples)
    lines += _metric("health_timestamp_seconds", "When this was written.", [({}, now)])
    return "".join(f"{line}\n" for line in lines)


def _one_of(verdict: str, labels: dict[str, str]) -> list[tuple[dict[str, str], int]]:
    """A sample for each verdict there is, 1 for the one that holds: what alerts are easily written for."""
    return [(labels | {"verdict": name}, int(name == verdict)) for name in VERDICTS]


def _metric(name: str, help_text: str, samples: list[tuple[dict[str, str], int]]) -> list[str]:
    full = f"felhom_base_infra_{name}"
    lines = [f"# HELP {full} {help_text}", f"# TYPE {full} gauge"]
    for labels, value in samples:
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{full}{{{inner}}} {value}" if inner else f"{full} {value}")
    return lines


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
