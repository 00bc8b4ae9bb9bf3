# SPDX-License-Identifier: Apache-2.0
"""Which kernels there are, and what each is made from. A line is a kernel version with a folder in kernel/patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmtest.cache import CHECKOUT
from vmtest.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

PATCHES = CHECKOUT / "kernel/patches"
AS_POSTED = CHECKOUT / "tests/node/as_posted"
CONFIGS = CHECKOUT / "kernel/config"


@dataclass(frozen=True)
class Recipe:
    """One kernel to build."""

    name: str
    line: str
    patches: tuple[Path, ...]


def recipes(patches: Path = PATCHES, as_posted: Path = AS_POSTED) -> dict[str, Recipe]:
    """`patched-LINE`: our series. `as-posted-LINE`: the hook where the RFC had it, for the tests only."""
    found = {}
    for folder in sorted(patches.iterdir()):
        series = tuple(sorted(folder.glob("*.patch")))
        found[f"patched-{folder.name}"] = Recipe(f"patched-{folder.name}", folder.name, series)
        if (on_top := as_posted / f"{folder.name}.patch").exists():
            name = f"as-posted-{folder.name}"
            found[name] = Recipe(name, folder.name, (*series, on_top))
    return found


def fragments(line: str, arch: str, configs: Path = CONFIGS) -> list[Path]:
    """The parts of a configuration; the kernel's name for the architecture."""
    return [configs / f"{each}.config" for each in ("common", line, arch)]


def options(text: str) -> dict[str, str]:
    """CONFIG_X=value lines of a fragment or a whole configuration; `n` for one that is said to be not set."""
    found = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            found[name] = value
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            found[line.split()[1]] = "n"
    return found


def check_options(wanted: str, got: str) -> None:
    """Kconfig drops what it does not know or what lacks a dependency, and says nothing.

    Raises:
        BuildError: Names what was dropped.
    """
    resolved = options(got)
    dropped = [
        f"{name}={value} is {resolved.get(name, 'n')}"
        for name, value in options(wanted).items()
        if resolved.get(name, "n") != value
    ]
    if dropped:
        raise BuildError(f"the configuration is not what its fragments say: {'; '.join(dropped)}")
