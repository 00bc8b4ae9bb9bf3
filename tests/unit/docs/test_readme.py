# SPDX-License-Identifier: Apache-2.0
"""What the README says that changes elsewhere."""

from __future__ import annotations

import re

from tests.realnode.pods import IMAGE
from tests.unit.docs.page import CHECKOUT


def test_its_pods_have_the_image_of_this_version() -> None:
    """No other is on the node, and nobody could fetch one."""
    named = re.findall(r"--image=(\S+)", (CHECKOUT / "README.md").read_text())

    assert {IMAGE} == set(named)
