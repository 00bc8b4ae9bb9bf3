# SPDX-License-Identifier: Apache-2.0
"""The loader's image builds the hook's module with the headers of a node, as the chart's init container does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.image.container import USER
from vmtest.image import ensure_image
from vmtest.packages import KERNELS

if TYPE_CHECKING:
    import subprocess

    from tests.image.conftest import Run

HEADERS = "/host/usr/lib/modules/{}/build"
BUILD = """
oompolicy-loader build --headers="$1" --module=/module/oompolicy_hook.ko || exit
cat /module/*.reason 2>/dev/null || {
    modinfo --field vermagic /module/oompolicy_hook.ko
    readelf --wide --section-headers /module/oompolicy_hook.ko
}
"""


def build(run: Run, headers: str) -> subprocess.CompletedProcess[str]:
    """Build without any privilege. The guest's /usr is the node's."""
    options = ("--network=none", f"--user={USER}", "--env=TMPDIR=/module", f"--tmpfs=/module:uid={USER}")
    command = ("sh", "-c", BUILD, "sh", headers)
    return run("oompolicy-loader", *command, options=(*options, "--volume=/mnt/guest/usr:/host/usr:ro"))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_module_is_built_for_the_nodes_kernel(run: Run, kernel: str) -> None:
    """The module has its BTF. Without it the kernel would not let a program attach to the hook."""
    release = ensure_image().kernel(kernel).release
    done = build(run, HEADERS.format(release))

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{release} "), done.stdout + done.stderr
    assert " .BTF " in done.stdout


def test_an_absolute_link_to_the_headers_leads_to_the_nodes_headers(run: Run) -> None:
    """On Ubuntu and Fedora the link in /lib/modules has the absolute path of a folder in /usr/src of the node."""
    release = ensure_image().kernel(KERNELS[0]).release
    done = build(run, f"/usr/src/linux-headers-{release}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{release} "), done.stdout + done.stderr


def test_missing_headers_are_reported(run: Run) -> None:
    """Missing headers are no failure, because the node can still report its victims."""
    done = build(run, HEADERS.format("6.12-none"))

    assert done.returncode == 0
    assert "this kernel's headers are not installed" in done.stdout
