# SPDX-License-Identifier: Apache-2.0
"""Build: compile the hook's module against the headers of the kernel that runs.

It needs no privilege, so it is a container of its own; the one that may load modules finds there the module, or the
sentence that says why there is none. That is no failure: a node without headers still reports its victims, and a node
with the module in its kernel, left by the agent before, needs no second one.
"""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from oompolicy_agent.loader import module
from oompolicy_agent.loader.command import run
from oompolicy_agent.loader.errors import LoaderError, UnsupportedError
from oompolicy_agent.loader.hook import MODULE

if TYPE_CHECKING:
    from oompolicy_agent.loader.options import Options

_DEBIAN: Final = re.compile(r"^include /usr/src/([^/\s]+)/Makefile$", re.MULTILINE)

TYPES: Final = Path("/sys/kernel/btf/vmlinux")
"""The types of the kernel that runs."""

_ERROR: Final = re.compile(r"error:|ERROR:|[Ff]ailed to|No such file|not found|No rule to make target")

log = logging.getLogger(__name__)


def build(options: Options) -> None:
    """The whole verb: `options.module`, or beside it the reason. LoaderError where the source is not there."""
    file = options.module
    if file is None:
        raise LoaderError("build needs --module, the file to make")
    reason = module.reason_file(file)
    for old in (file, reason):
        old.unlink(missing_ok=True)
    if module.loaded_from(options.source):
        # It is read only if somebody takes the module out before this node is attached.
        reason.write_text("none was made, because the kernel had it\n", encoding="utf-8")
        log.info("the kernel has this module already: nothing to compile")
        return
    try:
        _compile(options.headers, options.source, file)
    except UnsupportedError as error:
        reason.write_text(f"{error}\n", encoding="utf-8")
        log.warning("there is no module for this kernel: %s", error)
    else:
        log.info("made %s", file)


def _compile(headers: Path, source: Path, file: Path) -> None:
    if not source.is_dir():
        raise LoaderError(f"the module's source is not in {source}")
    # A link to headers that are not installed is there on every Debian.
    if not (headers / "Makefile").exists():
        raise UnsupportedError(f"this kernel's headers are not installed: there is no {headers}/Makefile")
    with TemporaryDirectory(prefix="oompolicy-") as name:
        copy = Path(name) / "module"
        shutil.copytree(source, copy)
        _make(tree(headers, with_types(headers, Path(name) / "headers", TYPES)), headers, copy)
        _check(copy / f"{MODULE}.ko", headers)
        shutil.copyfile(copy / f"{MODULE}.ko", file)


def _make(tree_: tuple[str, ...], headers: Path, folder: Path) -> None:
    try:
        done = run("make", *tree_, f"M={folder}", "modules")
    except FileNotFoundError as error:
        raise UnsupportedError("make is not installed") from error
    if done.status != 0:
        log.info("%s%s", done.stdout, done.stderr)
        raise UnsupportedError(f"it cannot be compiled against {headers}: {explain(done.stderr)}")


def _check(made: Path, headers: Path) -> None:
    """The kernel's makefiles leave BTF out where they cannot make it, and only warn of it."""
    if module.lacks_btf(made.read_bytes()):
        cause = "" if (headers / "vmlinux").is_file() else f": there is no {headers}/vmlinux with the kernel's types"
        raise UnsupportedError(f"it {module.NO_BTF}{cause}")


def with_types(headers: Path, folder: Path, types: Path) -> Path:
    """The folder to build in: the headers, or `folder` with links to all of them and to the kernel's types.

    The kernel's makefiles (scripts/Makefile.modfinal) make a module's BTF only where its tree has a file `vmlinux`,
    to refer to the types in it. Many distributions leave that file out; the kernel that runs offers the same types.
    """
    if (headers / "vmlinux").is_file() or not types.exists():
        return headers
    folder.mkdir()
    for each in headers.resolve().iterdir():
        if each.name != "vmlinux":
            (folder / each.name).symlink_to(each)
    (folder / "vmlinux").symlink_to(types)
    return folder


def tree(headers: Path, folder: Path) -> tuple[str, ...]:
    """Make's arguments that say where the kernel's tree is, for a build in `folder` (see `with_types`).

    Debian's headers name another package's Makefile by its path below /usr/src, and lead from there to a third by
    relative links. In a container the node's /usr is elsewhere, and all three are there beside each other.
    """
    real = headers.resolve()
    named = _DEBIAN.search((real / "Makefile").read_text(encoding="utf-8", errors="replace"))
    common = real.parent / named[1] / "Makefile" if named else real
    place = str(folder.resolve())
    if not common.is_file():
        return ("-C", place)
    return ("-C", place, "-f", str(common), f"KBUILD_OUTPUT={place}")


def explain(stderr: str) -> str:
    """The line that tells most: the first error, which the others follow from, or the last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    # GNU make's own "*** ... Error 2" is about what came before it.
    telling = [line for line in lines if _ERROR.search(line)]
    return next(iter(telling or lines[-1:]), "make said nothing")
