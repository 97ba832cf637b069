"""Modules run where the tests do: arguments and result go through Ansible's own code."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args


@pytest.fixture
def execute(capsys):
    """What a module's main() returns for its arguments."""

    def run(main, arguments, check=False):
        with patch_module_args(arguments | {"_ansible_check_mode": check}), pytest.raises(SystemExit):
            main()
        return json.loads(capsys.readouterr().out)

    return run
