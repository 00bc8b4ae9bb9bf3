# SPDX-License-Identifier: Apache-2.0
"""The kernels, and the parts of each. A line is a kernel version with a folder in kernel/patches."""

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
    """Return our series as `patched-LINE`, and the hook as the RFC placed it as `as-posted-LINE`, for tests only."""
    found = {}
    for folder in sorted(patches.iterdir()):
        series = tuple(sorted(folder.glob("*.patch")))
        found[f"patched-{folder.name}"] = Recipe(f"patched-{folder.name}", folder.name, series)
        if (on_top := as_posted / f"{folder.name}.patch").exists():
            name = f"as-posted-{folder.name}"
            found[name] = Recipe(name, folder.name, (*series, on_top))
    return found


def fragments(line: str, arch: str, configs: Path = CONFIGS) -> list[Path]:
    """Return the parts of a configuration. `arch` is the kernel's name for the architecture."""
    return [configs / f"{each}.config" for each in ("common", line, arch)]


def options(text: str) -> dict[str, str]:
    """Return the CONFIG_X=value lines of a configuration or a fragment, with `n` for an option that is not set."""
    found = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            found[name] = value
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            found[line.split()[1]] = "n"
    return found


def check_options(wanted: str, got: str) -> None:
    """Fail if Kconfig dropped an option, which it does silently for an unknown option or a missing dependency.

    Raises:
        BuildError: Names the dropped options.
    """
    resolved = options(got)
    dropped = [
        f"{name}={value} is {resolved.get(name, 'n')}"
        for name, value in options(wanted).items()
        if resolved.get(name, "n") != value
    ]
    if dropped:
        raise BuildError(f"the configuration is not what its fragments say: {'; '.join(dropped)}")
