# SPDX-License-Identifier: Apache-2.0
"""Write QEMU's command line, in small named pieces."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vmtest.architecture import AMD64
from vmtest.errors import QemuError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vmtest.architecture import Architecture

# QEMU 7.2 (Debian 12) corrupts EFLAGS under software emulation, and stock kernels crash at random in it.
# 10.0 is what bookworm-backports and Debian 13 have, and the oldest we have tried.
OLDEST_QEMU = (10, 0)

THROWN_AWAY = "snapshot=on,cache=unsafe"
"""The options of a disk that throws all writes away."""

Accel = Literal["kvm", "tcg"]

KERNEL_WORDS = [
    # dmesg still shows the whole log. An OOM's dump on an emulated serial line takes seconds.
    "loglevel=4",
    # With -no-reboot a panic ends the run at once.
    "panic=-1",
    "oops=panic",
    # Tests make the kernel write its log fast, and it must not drop the tests' own marks.
    "printk.devkmsg=on",
]


@dataclass(frozen=True)
class Machine:
    """The guest's hardware and command line."""

    accel: Accel
    memory: int = 1024  # MiB
    cpus: int = 2
    nodes: int = 1
    """The number of NUMA nodes, each with the same share of the memory. The first one has all processors."""
    append: str = ""
    network: bool = False
    forwards: Mapping[int, int] = field(default_factory=dict)
    """Ports of the guest by ports of this machine's 127.0.0.1, if the guest has a network."""
    disks: Mapping[str, Path] = field(default_factory=dict)
    """Further file systems by their serial. The guest's writes to them are lost."""
    architecture: Architecture = AMD64


@dataclass(frozen=True)
class Files:
    """Files of the host that QEMU reads and writes."""

    vmlinuz: Path
    initrd: Path
    root: Path
    work: Path
    console: Path
    ports: dict[str, Path]


def command_line(machine: Machine, files: Files) -> list[str]:
    """Put the pieces together."""
    return [
        machine.architecture.qemu,
        *base(),
        *machine.architecture.board,
        *processor(machine),
        *numa(machine),
        *direct_kernel(machine, files),
        *disk("root", files.root, THROWN_AWAY),
        *disk("work", files.work, "readonly=on"),
        *(word for serial, path in machine.disks.items() for word in disk(serial, path, THROWN_AWAY)),
        *console(files.console),
        *ports(files.ports),
        *(network(machine.forwards) if machine.network else []),
    ]


def base() -> list[str]:
    """Return the options that remove all default devices, windows and configuration."""
    return ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]


def processor(machine: Machine) -> list[str]:
    """Choose processor, accelerator and memory."""
    cpu = "host" if machine.accel == "kvm" else machine.architecture.emulated
    return ["-accel", machine.accel, "-cpu", cpu, "-smp", str(machine.cpus), "-m", str(machine.memory)]


def numa(machine: Machine) -> list[str]:
    """Split the memory into NUMA nodes. Without options there is one node."""
    words = []
    for node in range(machine.nodes if machine.nodes > 1 else 0):
        words += ["-object", f"memory-backend-ram,id=node{node},size={machine.memory // machine.nodes}M"]
        cpus = f",cpus=0-{machine.cpus - 1}" if node == 0 else ""
        words += ["-numa", f"node,nodeid={node},memdev=node{node}{cpus}"]
    return words


def direct_kernel(machine: Machine, files: Files) -> list[str]:
    """Choose kernel, initrd and the kernel's command line."""
    words = " ".join([*machine.architecture.words, *KERNEL_WORDS, *machine.append.split()])
    return ["-kernel", str(files.vmlinuz), "-initrd", str(files.initrd), "-append", words]


def disk(serial: str, path: Path, options: str) -> list[str]:
    """Add a raw disk that the guest finds by its serial."""
    drive = f"if=none,id={serial},format=raw,file={escape(path)},{options}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]


def console(path: Path) -> list[str]:
    """Write the kernel's console to a file."""
    return ["-chardev", f"file,id=console,path={escape(path)}", "-serial", "chardev:console"]


def ports(paths: dict[str, Path]) -> list[str]:
    """Add a named port for each output of the guest."""
    words = ["-device", "virtio-serial-pci"]
    for name, path in paths.items():
        words += ["-chardev", f"file,id={name},path={escape(path)}"]
        words += ["-device", f"virtserialport,chardev={name},name=oompolicy.{name}"]
    return words


def network(forwards: Mapping[int, int]) -> list[str]:
    """Add a network in which the host's loopback is 10.0.2.2, and nothing but forwarded ports reaches the guest."""
    rules = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for host, guest in forwards.items())
    return ["-netdev", f"user,id=network,ipv6=off{rules}", "-device", "virtio-net-pci,netdev=network"]


def escape(path: Path) -> str:
    """Double the commas, which otherwise end an option of QEMU."""
    return str(path).replace(",", ",,")


def check_version(architecture: Architecture) -> None:
    """Refuse a QEMU with an emulation that is known to be wrong."""
    qemu, installed_by = architecture.qemu, architecture.installed_by
    if shutil.which(qemu) is None:
        raise QemuError(f"{qemu} is not installed; {installed_by} installs it")
    text = subprocess.run([qemu, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    if parse_version(text.stdout) < OLDEST_QEMU:
        raise QemuError(f"{text.stdout.splitlines()[0]} is too old: {installed_by} installs 10.0 or newer")


def parse_version(text: str) -> tuple[int, int]:
    """Read major and minor version from the output of `--version`."""
    match = re.search(r"version (\d+)\.(\d+)", text)
    if match is None:
        raise QemuError(f"QEMU's --version says {text!r}")
    return int(match[1]), int(match[2])
