# SPDX-License-Identifier: Apache-2.0
"""The checkout's Python files are compiled before the guest starts."""

from __future__ import annotations

from vmtest.bytecode import FOLDERS, compileall, in_folders
from vmtest.cache import CHECKOUT
from vmtest.checkout import checkout_files


def test_all_folders_with_python_are_compiled_except_single_scripts() -> None:
    """The guest would compile a missing folder at each start of an agent. It runs nothing of these four."""
    left_out = {path.relative_to(CHECKOUT).parts[0] for path in checkout_files(CHECKOUT) if path.suffix == ".py"}

    assert {"campaign", "image", "publish", "scripts"} == left_out - set(FOLDERS)
    assert in_folders(CHECKOUT / "agent/oompolicy_agent/main.py")
    assert not in_folders(CHECKOUT / "image/compile.py")


def test_a_file_is_compiled_for_its_path_in_the_guest() -> None:
    """Tracebacks have this path, and the file's time in the guest differs."""
    words = " ".join(compileall("/mnt/code"))

    assert "--invalidation-mode unchecked-hash -s /mnt/code -p /checkout /mnt/code/operator " in words
