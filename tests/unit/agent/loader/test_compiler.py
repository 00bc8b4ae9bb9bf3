# SPDX-License-Identifier: Apache-2.0
"""The compiler of a module is the kernel's own, or else another version of gcc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.loader.compiler import headers_compiler, kernel_compiler, substitute
from oompolicy_agent.loader.main import main

if TYPE_CHECKING:
    from pathlib import Path

GCC_16 = "CONFIG_CC_IS_GCC=y\nCONFIG_CC_VERSION_TEXT=x86_64-linux-gnu-gcc-16 (Debian 16.2.0-3) 16.2.0\n"


@pytest.mark.parametrize(
    ("version", "compiler"),
    [
        ("Linux version 6.12.107 (a@b) (x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0, GNU ld) #1 SMP", "gcc-14"),
        ("Linux version 6.18.44 (a@b) (gcc (GCC) 14.2.1 20260101, GNU ld version 2.41) #1 SMP", "gcc"),
        ("Linux version 6.18.45-talos (a@b) (clang version 22.1.0, LLD 22.1.0) #1 SMP", "clang"),
        ("Linux version 6.1", ""),
    ],
)
def test_the_kernel_names_its_compiler(version: str, compiler: str) -> None:
    assert compiler == kernel_compiler(version)


@pytest.mark.parametrize(
    ("config", "compiler"),
    [
        (GCC_16, "gcc-16"),
        ('CONFIG_CC_VERSION_TEXT="gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-5)"', "gcc"),
        ('CONFIG_CC_VERSION_TEXT="clang version 22.1.0"', "clang"),
        ("CONFIG_MEMCG=y\n", ""),
    ],
)
def test_the_headers_name_the_compiler_of_their_kernel(config: str, compiler: str) -> None:
    """Older kernels write strings in quotes."""
    assert compiler == headers_compiler(config)


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    """Make a PATH with programs of these names, which do nothing."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.parametrize(
    ("own", "installed", "expected"),
    [
        ("gcc-16", ("gcc-16", "gcc-14"), None),
        ("gcc-16", ("gcc-14",), "gcc-14"),
        ("gcc-16", ("gcc", "gcc-14"), "gcc"),
        ("gcc", ("gcc", "gcc-14"), None),
        ("gcc", ("gcc-14",), "gcc-14"),
        ("gcc", (), None),
        ("clang", ("gcc-14",), None),
        ("", ("gcc-14",), "gcc-14"),
    ],
)
def test_another_gcc_replaces_a_gcc_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str, installed: tuple[str, ...], expected: str | None
) -> None:
    """The image of the loader has one gcc, and the makefiles of a kernel call the gcc that made it."""
    install(monkeypatch, tmp_path / "bin", *installed)

    assert expected == substitute(own)


def test_the_build_passes_the_other_compiler_to_make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without it, make would call the compiler of the kernel and end with `not found`."""
    install(monkeypatch, tmp_path / "bin", "gcc-14")
    for name in ("make", "sh", "cp", "printf"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    source, headers, file = tmp_path / "source", tmp_path / "headers", tmp_path / "hook.ko"
    source.mkdir()
    (headers / "include/config").mkdir(parents=True)
    (headers / "include/config/auto.conf").write_text(GCC_16)
    (headers / "Makefile").write_text("modules:\n\tprintf '%s' '$(CC)' >$(M)/oompolicy_hook.ko\n")

    assert 0 == main(["build", f"--module={file}", f"--headers={headers}", f"--source={source}"])
    assert "gcc-14" == file.read_text()
