# SPDX-License-Identifier: Apache-2.0
"""Run the series' own selftest on its kernel: `python3 -m vmtest.patched.selftest NAME...`.

The kernel's runner is built with this one test. All tests take an hour, and need kernel options that ours lacks.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest.cache import cache_dir
from vmtest.errors import HarnessError
from vmtest.image import ensure_image
from vmtest.patched.recipe import recipes
from vmtest.patched.source import ensure_source
from vmtest.patched.tree import INSIDE, Tree
from vmtest.progress import say, step
from vmtest.vm import run_guest

if TYPE_CHECKING:
    from vmtest.image import Image

TEST = "oom_policy"
FOLDER = "source/tools/testing/selftests/bpf"
DEADLINE = 300.0


def main() -> int:
    """Run the selftest on each requested kernel."""
    words = argparse.ArgumentParser(prog="python3 -m vmtest.patched.selftest", description=__doc__)
    words.add_argument("name", nargs="+", choices=[name for name in recipes() if name.startswith("patched")])
    arguments = words.parse_args()
    try:
        image = ensure_image()
        statuses = [run(image, name) for name in arguments.name]
    except HarnessError as error:
        say(str(error))
        return 1
    return 1 if any(statuses) else 0


def run(image: Image, name: str) -> int:
    """Build the runner, and start it in a guest with the same kernel."""
    with tempfile.TemporaryDirectory(prefix="selftest-", dir=cache_dir() / "kernels") as folder:
        runner = build(Tree(image, Path(folder), recipes()[name]))
        # The guest starts its command with -1000, which the test's victims would inherit.
        command = ["sh", "-c", f"echo 0 >/proc/self/oom_score_adj; cd build && exec ./test_progs -v -t {TEST}"]
        return run_guest(image, command, kernel=name, extra={"build": runner}, deadline=DEADLINE).status


def build(tree: Tree) -> Path:
    """Return the folder with the runner. The runner needs the kernel's types, so this also builds the kernel."""
    name = tree.recipe.name
    with step(f"{name}: the kernel, for its types"):
        tree.prepare(ensure_source(tree.recipe.line))
        tree.configure("x86_64")
        tree.make("vmlinux")
    with step(f"{name}: the runner with {TEST} alone"):
        leave_one_test(tree.folder / FOLDER)
        tree.run(
            *("make", "-C", f"{INSIDE}/{FOLDER}", f"VMLINUX_BTF={INSIDE}/out/vmlinux"),
            # Other tests' modules, programs, and a library of theirs that Debian 13's clang cannot compile (7.3).
            *("TRUNNER_EXTRA_FILES=", "LSKELS=", "LSKELS_EXTRA=", "LSKELS_SIGNED=", "LINKED_SKELS="),
            *("LIBARENA_SKEL=", "LIBARENA_ASAN_SKEL=", "test_progs"),
        )
    kept = tree.folder / "kept"
    kept.mkdir()
    shutil.copy2(tree.folder / FOLDER / "test_progs", kept)
    return kept


def leave_one_test(folder: Path) -> None:
    """Delete all other tests, because the runner's makefile builds every test in the folder."""
    for each in (*folder.glob("prog_tests/*.c"), *folder.glob("progs/*.c")):
        if not each.name.startswith(TEST):
            each.unlink()


if __name__ == "__main__":
    sys.exit(main())
