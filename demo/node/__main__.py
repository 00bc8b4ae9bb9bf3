# SPDX-License-Identifier: Apache-2.0
"""The demo's first half, on the host: make or find the guest, boot it, and play in it."""

from __future__ import annotations

import os
import sys
import time

from demo.node.page import Page, wants_colour
from demo.node.patience import patiently
from demo.node.story import NODE_CPUS, NODE_MIB, PROLOGUE
from demo.node.sudo import through_sudo
from vmtest.build import ensure_artifacts
from vmtest.errors import HarnessError
from vmtest.image import ensure_image
from vmtest.vm import run_guest

# A whole demo takes a tenth of this under emulation; a guest that is still busy then hangs.
DEADLINE = 600.0


def play(page: Page) -> int:
    """Return what the guest's half returns: 0 where the story went as told."""
    page.heading("Who dies when a node runs out of memory?")
    page.text(*PROLOGUE)
    page.heading("A node to run out of memory")
    page.step("the guest: Debian 13 with its stock kernel, built once and then taken from the cache")
    image = ensure_image()
    build = ensure_artifacts(image)
    page.step(f"booting it: one CPU, {NODE_MIB} MiB of memory, no swap; its first words come after 5 to 30 s")
    command = ["python3", "-m", "demo.node.guest", "--started", str(page.started)]
    command += ["--colour"] if page.colour else []
    with patiently(page.step) as output:
        result = run_guest(
            image, command, memory=NODE_MIB, cpus=NODE_CPUS, extra={"build": build}, output=output, deadline=DEADLINE
        )
    page.step(f"done; the guest ran {'with KVM' if result.accel == 'kvm' else 'emulated, without KVM'}")
    return result.status


def main() -> int:
    """Return 0, or 1 where the story went otherwise or could not be played."""
    if os.geteuid() != 0:
        return through_sudo("demo.node")
    page = Page(wants_colour(os.environ, terminal=sys.stdout.isatty()), time.time())
    try:
        return 1 if play(page) else 0
    except KeyboardInterrupt:
        return 130
    except HarnessError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
