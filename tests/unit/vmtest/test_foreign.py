# SPDX-License-Identifier: Apache-2.0
"""The guest for arm64 has an image of its own and another machine, and is always emulated."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

from vmtest import foreign, image, kernels, qemu
from vmtest.architecture import AMD64, ARM64
from vmtest.suite import DOCUMENTS, Result, selection, table

HERE = Path("/nowhere")
FILES = qemu.Files(vmlinuz=HERE, initrd=HERE, root=HERE, work=HERE, console=HERE, ports={})


def test_a_guest_can_be_started_with_each_kernel() -> None:
    assert set(foreign.KERNELS) < set(kernels.names())


def test_the_images_key_follows_that_of_the_usual_image() -> None:
    """Both have the same packages. The images differ, so the keys of what is built with them do, too."""
    assert foreign.image_key() != image.image_key()


def test_the_packages_are_those_of_the_architecture() -> None:
    """mmdebstrap's own check of QEMU needs one more package, and the harness registers QEMU itself."""
    other = replace(ARM64, machine="another")
    native = replace(AMD64, machine=platform.machine())

    assert {"--architectures=arm64", "--skip=check/qemu"} <= set(image.mmdebstrap(Path("/t"), [], [], [], other))
    assert "--skip=check/qemu" not in image.mmdebstrap(Path("/t"), [], [], [], native)


def test_the_machine_is_arms_own() -> None:
    words = qemu.command_line(qemu.Machine("tcg", architecture=ARM64), FILES)

    assert "qemu-system-aarch64" == words[0]
    assert "virt,gic-version=3" == words[words.index("-machine") + 1]
    assert ARM64.emulated == words[words.index("-cpu") + 1]
    assert "console=ttyAMA0" in words[words.index("-append") + 1].split()


def test_it_runs_the_tests_that_depend_on_the_processor() -> None:
    chosen = selection("trixie-arm64")

    assert {f"tests/node/test_{name}.py" for name in ("order", "contract", "record", "random", "scores")} < set(chosen)
    assert "| `trixie-arm64` | 6.12 | `kernel/module` |" in table([Result("trixie-arm64", "6.12", 0, 1, 0, 1.0)])


def test_every_selected_test_exists() -> None:
    checkout = Path(foreign.__file__).parents[1]

    assert [] == [name for name in selection("trixie-arm64") if not (checkout / name).exists()]


def test_each_table_of_results_has_its_place() -> None:
    for document, place in DOCUMENTS.values():
        assert f"<!-- {place}: begin -->" in document.read_text()
