# SPDX-License-Identifier: Apache-2.0
"""Decide between KVM and emulation by booting the guest: a /dev/kvm that opens can still fail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmtest.cache import cache_dir, locked
from vmtest.errors import HarnessError
from vmtest.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtest.qemu import Accel

KVM = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# A boot with KVM takes seconds, so that only a guest that hangs exceeds this.
PROBE_SECONDS = 30.0


def choose(wanted: Literal["auto", "kvm", "tcg"], release: str, probe: Callable[[], None]) -> Accel:
    """Return the requested accelerator. For `auto` try KVM once for each boot of the host and kernel of the guest."""
    wanted_here = os.environ.get("OOMPOLICY_ACCEL", wanted) if wanted == "auto" else wanted
    if wanted_here in {"kvm", "tcg"}:
        return "kvm" if wanted_here == "kvm" else "tcg"
    if wanted_here != "auto":
        raise HarnessError(f"OOMPOLICY_ACCEL is {wanted_here!r}, not kvm, tcg or auto")
    if not os.access(KVM, os.R_OK | os.W_OK):
        return "tcg"
    return remembered(cache_dir() / "accel" / f"{BOOT_ID.read_text().strip()}-{release}", probe)


def remembered(answer: Path, probe: Callable[[], None]) -> Accel:
    """Return the result of an earlier try, or try now."""
    with locked(answer.with_name("lock")):
        if not answer.exists():
            answer.write_text(try_kvm(probe))
        return "kvm" if answer.read_text() == "kvm" else "tcg"


def try_kvm(probe: Callable[[], None]) -> Accel:
    """Boot once with KVM."""
    say("does the guest boot with KVM here? trying once")
    try:
        probe()
    except HarnessError as error:
        say(f"no, it runs emulated: {str(error).splitlines()[0]}")
        return "tcg"
    say("yes")
    return "kvm"
