# SPDX-License-Identifier: Apache-2.0
"""The verb `build`: compile the hook's module against the headers of the running kernel.

It needs no privilege, so it runs in a container of its own. That container leaves the module, or one sentence with the
reason why there is none, for the container that may load modules. A missing module is no failure: a node without
headers still reports its victims, and a node whose kernel still has the module needs no second one.
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
from oompolicy_agent.loader.compiler import headers_compiler, substitute
from oompolicy_agent.loader.errors import LoaderError, UnsupportedError
from oompolicy_agent.loader.hook import MODULE
from oompolicy_agent.plumbing.paths import KERNEL_BTF, VMLINUX

if TYPE_CHECKING:
    from oompolicy_agent.loader.settings import Settings

_DEBIAN: Final = re.compile(r"^include /usr/src/([^/\s]+)/Makefile$", re.MULTILINE)

TYPES: Final = KERNEL_BTF / VMLINUX
"""The BTF of the running kernel."""

_ERROR: Final = re.compile(r"error:|ERROR:|[Ff]ailed to|No such file|not found|No rule to make target")

log = logging.getLogger(__name__)


def build(settings: Settings) -> None:
    """Write the module to `settings.module`, or the reason why there is none to a file beside it.

    LoaderError if the module's source is missing.
    """
    file = settings.module
    if file is None:
        raise LoaderError("build needs --module, the file to write")
    reason = module.reason_file(file)
    for old in (file, reason):
        old.unlink(missing_ok=True)
    if module.loaded_from(settings.source):
        # `attach` reads this reason only if the module is removed from the kernel before it runs.
        reason.write_text("the build made none, because the kernel had it loaded\n", encoding="utf-8")
        log.info("this module is already loaded: nothing to compile")
        return
    try:
        _compile(settings.headers, settings.source, file)
    except UnsupportedError as error:
        reason.write_text(f"{error}\n", encoding="utf-8")
        log.warning("there is no module for this kernel: %s", error)
    else:
        log.info("built %s", file)


def _compile(headers: Path, source: Path, file: Path) -> None:
    if not source.is_dir():
        raise LoaderError(f"the module's source is not in {source}")
    # On Debian the link to the headers exists even if the headers are not installed.
    if not (headers / "Makefile").exists():
        raise UnsupportedError(f"this kernel's headers are not installed: there is no {headers}/Makefile")
    with TemporaryDirectory(prefix="oompolicy-") as name:
        copy = Path(name) / "module"
        shutil.copytree(source, copy)
        folder = folder_with_types(headers, Path(name) / "headers", TYPES)
        _make((*kernel_arguments(headers, folder), *_compiler(headers)), headers, copy)
        _check(copy / f"{MODULE}.ko", headers)
        shutil.copyfile(copy / f"{MODULE}.ko", file)


def _compiler(headers: Path) -> tuple[str, ...]:
    """Return make's argument for another compiler than the kernel's own, or nothing."""
    config = headers / "include/config/auto.conf"
    own = headers_compiler(config.read_text(encoding="utf-8", errors="replace")) if config.exists() else ""
    if (other := substitute(own)) is None:
        return ()
    log.info("%s compiles the module, because %s, which made the kernel, is not installed", other, own or "the gcc")
    return (f"CC={other}",)


def _make(arguments: tuple[str, ...], headers: Path, folder: Path) -> None:
    try:
        done = run("make", *arguments, f"M={folder}", "modules")
    except FileNotFoundError as error:
        raise UnsupportedError("make is not installed") from error
    if done.status != 0:
        log.info("%s%s", done.stdout, done.stderr)
        raise UnsupportedError(f"it cannot be compiled against {headers}: {first_error(done.stderr)}")


def _check(made: Path, headers: Path) -> None:
    """Raise UnsupportedError if the module has no BTF. The kernel's makefiles only warn if they cannot make it."""
    if module.lacks_btf(made):
        cause = "" if (headers / "vmlinux").is_file() else f": there is no {headers}/vmlinux with the kernel's types"
        raise UnsupportedError(f"it {module.NO_BTF}{cause}")


def folder_with_types(headers: Path, folder: Path, types: Path) -> Path:
    """Return the folder to build in: `headers`, or `folder` with links to all of them and to the kernel's types.

    The kernel's makefiles (scripts/Makefile.modfinal) make a module's BTF only if their tree has a file `vmlinux`, with
    the types that this BTF refers to. Many distributions leave that file out. The running kernel offers the same types.
    """
    if (headers / "vmlinux").is_file() or not types.exists():
        return headers
    folder.mkdir()
    for each in headers.resolve().iterdir():
        if each.name != "vmlinux":
            (folder / each.name).symlink_to(each)
    (folder / "vmlinux").symlink_to(types)
    return folder


def kernel_arguments(headers: Path, folder: Path) -> tuple[str, ...]:
    """Return make's arguments that name the kernel's tree, for a build in `folder` (see `folder_with_types`).

    Debian's headers name another package's Makefile by its path below /usr/src, and refer from there to a third package
    by relative links. In a container the node's /usr is mounted elsewhere, with all three packages beside each other.
    """
    real = headers.resolve()
    named = _DEBIAN.search((real / "Makefile").read_text(encoding="utf-8", errors="replace"))
    common = real.parent / named[1] / "Makefile" if named else real
    place = str(folder.resolve())
    if not common.is_file():
        return ("-C", place)
    return ("-C", place, "-f", str(common), f"KBUILD_OUTPUT={place}")


def first_error(stderr: str) -> str:
    """Return the first error, which causes the others, or the last line if no line is an error."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    # "make: *** ... Error 2" only reports that an earlier line failed.
    errors = [line for line in lines if _ERROR.search(line)]
    return next(iter(errors or lines[-1:]), "make printed no error")
