# SPDX-License-Identifier: Apache-2.0
"""Run one command in a freshly booted guest."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from vmtest import accel, checkout, initrd, kernels
from vmtest.boot import CONSOLE_LINES, Boot, boot
from vmtest.bytecode import compiled
from vmtest.cache import CHECKOUT
from vmtest.errors import HarnessError
from vmtest.progress import last_lines
from vmtest.qemu import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vmtest.image import Image, Kernel
    from vmtest.qemu import Accel


@dataclass(frozen=True)
class GuestResult:
    """The command's exit status, and the kernel's output."""

    status: int
    accel: Accel
    seconds: float
    console: str
    kernel_log: str


def run_guest(
    image: Image,
    argv: Sequence[str],
    *,
    kernel: str = "trixie",
    memory: int = 1024,
    cpus: int = 2,
    nodes: int = 1,
    wanted_accel: Literal["auto", "kvm", "tcg"] = "auto",
    append: str = "",
    network: bool = False,
    env: Mapping[str, str] | None = None,
    extra: Mapping[str, Path] | None = None,
    disks: Mapping[str, Path] | None = None,
    forwards: Mapping[int, int] | None = None,
    artifacts: Path | None = None,
    output: BinaryIO | None = None,
    deadline: float | None = None,
) -> GuestResult:
    """Boot, run `argv` as root in /checkout, and return its exit status.

    Args:
        image: From `kernels.image_for()` or `ensure_image()`.
        argv: The command. Its output goes to `output` while it runs (default: our stdout).
        kernel: One of `kernels.names()`.
        memory: MiB of RAM. There is no swap.
        cpus: Number of processors.
        nodes: NUMA nodes, each with the same share of the memory. `memory` is divisible by it.
        wanted_accel: With `auto`, KVM if the guest really boots with it. Another architecture is always emulated.
        append: Further words for the kernel's command line, such as `sysctl.vm.overcommit_memory=1`.
        network: True to let the guest reach ports of the host's 127.0.0.1, as 10.0.2.2.
        env: Further environment of the command.
        extra: Trees to hand over beside the checkout, by their place below /checkout.
        disks: File systems to hand over as disks, by their serial. Writes to them are lost.
        forwards: Ports of the guest by ports of this machine's 127.0.0.1, if the guest has a network.
        artifacts: The folder for the files that the command leaves in /artifacts.
        output: The file for the command's stdout and stderr.
        deadline: Seconds after which the guest counts as lost.

    Raises:
        LostVMError: The guest ended without an exit status: a panic, a reset, or the deadline.
        QemuError: QEMU itself refused.
    """
    chosen = kernels.find(image, kernel)
    native = image.architecture.is_native()
    works = accel.choose(wanted_accel, chosen.release, lambda: probe(image, chosen)) if native else "tcg"
    machine = Machine(works, memory, cpus, nodes, append, network, forwards or {}, disks or {}, image.architecture)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="oompolicy-vm-") as name:
        guest = prepare(image, chosen, machine, script(argv, chosen.name, env or {}), Path(name))
        trees = {**compiled(image, Path(name)), **(extra or {}), **kernels.modules(image, chosen, Path(name))}
        checkout.pack(CHECKOUT, trees, guest.work)
        status = boot(guest, output or sys.stdout.buffer, deadline)
        if artifacts is not None:
            unpack(guest.artifacts, artifacts)
        return GuestResult(
            status=status,
            accel=machine.accel,
            seconds=time.monotonic() - started,
            console=last_lines(guest.console, CONSOLE_LINES),
            kernel_log=last_lines(guest.log, CONSOLE_LINES),
        )


def probe(image: Image, kernel: Kernel) -> None:
    """Boot with KVM and an empty command."""
    machine = Machine("kvm", 512, architecture=image.architecture)
    with tempfile.TemporaryDirectory(prefix="oompolicy-vm-") as name:
        guest = prepare(image, kernel, machine, script(["true"], kernel.name, {}), Path(name))
        checkout.pack_nothing(guest.work)
        boot(guest, io.BytesIO(), accel.PROBE_SECONDS)


def prepare(image: Image, kernel: Kernel, machine: Machine, command: str, folder: Path) -> Boot:
    """Write this boot's initrd, and name its files."""
    combined = folder / "initrd.img"
    initrd.append_scripts(kernel.initrd, {"command": command}, combined)
    return Boot(
        machine=machine,
        vmlinuz=kernel.vmlinuz,
        initrd=combined,
        root=image.disk,
        work=folder / "work.tar",
        folder=folder,
    )


def script(argv: Sequence[str], kernel: str, env: Mapping[str, str]) -> str:
    """Write the command as the script that the guest runs."""
    everything = {
        "OOMPOLICY_GUEST": "1",
        "OOMPOLICY_KERNEL": kernel,
        # Absolute paths, so that a program that a test starts in another folder still finds its modules.
        "PYTHONPATH": "/checkout/operator:/checkout/agent:/checkout",
        **env,
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in everything.items()]
    return "\n".join(["#!/bin/sh", *exports, "cd /checkout || exit 126", f"exec {shlex.join(argv)}", ""])


def unpack(tar: Path, target: Path) -> None:
    """Unpack the files of the command. GNU tar refuses names outside of the directory."""
    target.mkdir(parents=True, exist_ok=True)
    command = ["tar", "--extract", "--no-same-owner", "--directory", str(target), "--file", str(tar)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise HarnessError(f"the guest's artifacts: {result.stderr.strip()}")
