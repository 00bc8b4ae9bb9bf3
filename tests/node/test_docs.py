# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/node.md, exactly as the page shows them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.node import policy as attached

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.module
def test_the_commands_of_the_node_page_work() -> None:
    """Every shell block of the page works, in the page's order, in one shell that stops at the first error."""
    attached.detach()
    blocks = re.findall(r"^```sh\n(.*?)^```$", (CHECKOUT / "docs/node.md").read_text(), re.MULTILINE | re.DOTALL)
    script = "set -eux\n" + "".join(blocks).replace("kill %1", "kill $!")
    done = subprocess.run(["sh"], input=script, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert '"backend": "EvaluateTask"' in done.stdout
    assert not attached.BPFFS.exists()
