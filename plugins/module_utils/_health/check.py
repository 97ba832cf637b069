# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a health check says, and how several are shown. Private to this collection."""

from __future__ import annotations

from collections import namedtuple

Check = namedtuple("Check", "id verdict reason fix")
Check.__doc__ = """One check: id is stable, verdict ok, waiting, degraded or fail; reason and fix are a line each.

fix is empty where there is nothing to mend.
"""

VERDICTS = ("ok", "waiting", "degraded", "fail")
CONVERGE = "run playbooks/site.yml for this guest"


def verdict(checks) -> str:
    """The worst of all checks."""
    return max((check.verdict for check in checks), key=VERDICTS.index, default="ok")


def table(host, checks):
    """The checks as aligned lines for a terminal."""
    width = max((len(check.id) for check in checks), default=0)
    lines = [f"{host}: {verdict(checks)}"]
    for check in checks:
        lines.append(f"  {check.verdict:<8}  {check.id:<{width}}  {check.reason}")
        if check.fix:
            lines.append(f"  {'':<8}  {'':<{width}}  fix: {check.fix}")
    return "\n".join(lines)
