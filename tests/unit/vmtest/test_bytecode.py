# SPDX-License-Identifier: Apache-2.0
"""Which Python the guest finds compiled."""

from __future__ import annotations

from vmtest.bytecode import FOLDERS, compileall, in_folders
from vmtest.cache import CHECKOUT
from vmtest.checkout import checkout_files


def test_all_python_of_the_checkout_is_compiled_but_for_single_scripts() -> None:
    """A source root that is not listed would be compiled by the guest, at each start of an agent."""
    left_out = {path.relative_to(CHECKOUT).parts[0] for path in checkout_files(CHECKOUT) if path.suffix == ".py"}

    assert {"image"} == left_out - set(FOLDERS)
    assert in_folders(CHECKOUT / "agent/oompolicy_agent/main.py")
    assert not in_folders(CHECKOUT / "image/compile.py")


def test_a_file_is_compiled_for_the_place_that_it_has_in_the_guest() -> None:
    """Tracebacks name it by that, and the file's time there is another."""
    words = " ".join(compileall("/mnt/code"))

    assert "--invalidation-mode unchecked-hash -s /mnt/code -p /checkout /mnt/code/operator " in words
