# SPDX-License-Identifier: Apache-2.0
"""The README agrees with the version of the project."""

from __future__ import annotations

import re

from tests.realnode.pods import IMAGE
from tests.unit.docs.page import CHECKOUT


def test_the_pods_in_the_readme_have_the_image_of_this_version() -> None:
    """The node has no other image and could not fetch one."""
    named = re.findall(r"--image=(\S+)", (CHECKOUT / "README.md").read_text())

    assert {IMAGE} == set(named)
