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
    """How the command ended, and what the kernel said."""

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
        image: From `ensure_image()`.
        argv: The command; its output goes to `output` while it runs (default: our stdout).
        kernel: One of `kernels.names()`.
        memory: MiB of RAM; there is no swap.
        cpus: Number of processors.
        nodes: NUMA nodes, each with the same share of the memory; `memory` is divisible by it.
        wanted_accel: `auto` uses KVM if the guest really boots with it.
        append: Further words for the kernel's command line, such as `sysctl.vm.overcommit_memory=1`.
        network: Whether the guest reaches ports of the host's 127.0.0.1, as 10.0.2.2.
        env: Further environment of the command.
        extra: Trees to hand over beside the checkout, by their place below /checkout.
        disks: File systems to hand over as disks, by their serial; what is written to them is gone afterwards.
        forwards: Ports of this machine's 127.0.0.1 that are the guest's, where it has a network.
        artifacts: Where files that the command left in /artifacts go.
        output: Where the command's stdout and stderr go.
        deadline: Seconds after which the guest counts as lost.

    Raises:
        LostVMError: The guest ended without an exit status: a panic, a reset, or the deadline.
        QemuError: QEMU itself refused.
    """
    chosen = kernels.find(image, kernel)
    works = accel.choose(wanted_accel, chosen.release, lambda: probe(image, chosen))
    machine = Machine(works, memory, cpus, nodes, append, network, forwards or {}, disks or {})
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="oompolicy-vm-") as name:
        what = prepare(image, chosen, machine, script(argv, chosen.name, env or {}), Path(name))
        checkout.pack(CHECKOUT, {**compiled(image, Path(name)), **(extra or {})}, what.work)
        status = boot(what, output or sys.stdout.buffer, deadline)
        if artifacts is not None:
            unpack(what.artifacts, artifacts)
        return GuestResult(
            status=status,
            accel=machine.accel,
            seconds=time.monotonic() - started,
            console=last_lines(what.console, CONSOLE_LINES),
            kernel_log=last_lines(what.log, CONSOLE_LINES),
        )


def probe(image: Image, kernel: Kernel) -> None:
    """Boot with KVM and nothing to do."""
    with tempfile.TemporaryDirectory(prefix="oompolicy-vm-") as name:
        what = prepare(image, kernel, Machine("kvm", 512), script(["true"], kernel.name, {}), Path(name))
        checkout.pack_nothing(what.work)
        boot(what, io.BytesIO(), accel.PROBE_SECONDS)


def prepare(image: Image, kernel: Kernel, machine: Machine, command: str, folder: Path) -> Boot:
    """Write this boot's initrd and name its files."""
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
        # Absolute, so that what a test starts in another folder still finds its modules.
        "PYTHONPATH": "/checkout/operator:/checkout/agent:/checkout",
        **env,
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in everything.items()]
    return "\n".join(["#!/bin/sh", *exports, "cd /checkout || exit 126", f"exec {shlex.join(argv)}", ""])


def unpack(tar: Path, target: Path) -> None:
    """Unpack what the command left; GNU tar refuses names that would leave the directory."""
    target.mkdir(parents=True, exist_ok=True)
    command = ["tar", "--extract", "--no-same-owner", "--directory", str(target), "--file", str(tar)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise HarnessError(f"the guest's artifacts: {result.stderr.strip()}")
