# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie on a guest. Private to this collection."""

from __future__ import annotations

STATE_DIR = "/var/lib/felhom-base-infra"
SETTINGS = "/etc/felhom-base-infra/settings.json"
RUNTIME = "/run/felhom-base-infra"  # gone with every boot
SHARE = "/usr/share/felhom-base-infra"  # what a golden image brings
GOLDEN = f"{SHARE}/golden.json"
LIBRARY = "/usr/local/lib/felhom-base-infra"
PROGRAM = "/usr/local/sbin/felhom-base-infra"
NEVER_BOOTED = "never-booted"
# Shell patterns of what runs write below STATE_DIR; what they do for a customer (generations) is not among it.
LEFT_BY_RUNS = [
    f"{STATE_DIR}/{name}"
    for name in ("manifest.json", "status.json", "ledger.jsonl*", "failures.json", "pause.json", "checkout")
]
