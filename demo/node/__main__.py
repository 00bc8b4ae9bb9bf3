# SPDX-License-Identifier: Apache-2.0
"""The demo's first half, on the host: make or find the guest, boot it, and play in it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from demo.node import picture, record
from demo.node.page import Page, wants_colour
from demo.node.patience import patiently
from demo.node.story import NODE_CPUS, NODE_MIB, PROLOGUE
from demo.node.sudo import through_sudo
from vmtest.build import ensure_artifacts
from vmtest.errors import HarnessError
from vmtest.image import ensure_image
from vmtest.vm import run_guest

if TYPE_CHECKING:
    from collections.abc import Sequence

# A whole demo takes a tenth of this under emulation. A guest that is still busy after this time hangs.
DEADLINE = 600.0


def play(page: Page, drawing: Path | None, order: Path | None) -> int:
    """Play all acts, and return 0 if all ended as they should.

    Draw the first and the last act into the file `drawing`, and write the order before the last OOM into `order`.
    """
    page.heading("Which process dies when a node runs out of memory?")
    page.text(*PROLOGUE)
    page.heading("A node to run out of memory")
    page.step("the guest: Debian 13 with its stock kernel, built once and then taken from the cache")
    image = ensure_image()
    build = ensure_artifacts(image)
    page.step(f"booting it: one CPU, {NODE_MIB} MiB of memory, no swap; its first words come after 5 to 30 s")
    command = ["python3", "-m", "demo.node.guest", "--started", str(page.started)]
    command += ["--colour"] if page.colour else []
    with patiently(page.step) as output, tempfile.TemporaryDirectory() as found:
        result = run_guest(
            image,
            command,
            memory=NODE_MIB,
            cpus=NODE_CPUS,
            extra={"build": build},
            artifacts=Path(found),
            output=output,
            deadline=DEADLINE,
        )
        if drawing and not result.status:
            drawing.write_text(picture.draw(record.load(Path(found) / record.ARTIFACT.name)))
            page.step(f"the picture of the first and the last act is in {drawing}")
        if order and not result.status:
            order.write_bytes((Path(found) / record.ORDER.name).read_bytes())
            page.step(f"the order before the last act's OOM is in {order}")
    page.step(f"done; the guest ran {'with KVM' if result.accel == 'kvm' else 'emulated, without KVM'}")
    return result.status


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, or 1 if the demo ended otherwise or could not be played."""
    words = argparse.ArgumentParser(prog="python3 -m demo.node", description="The demo's first part.")
    words.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw the first and the last act side by side into this SVG file"
    )
    words.add_argument(
        "--order", type=Path, metavar="FILE", help="write the agent's answer to oompolicy order into this file"
    )
    arguments = words.parse_args(argv)
    if os.geteuid() != 0:
        return through_sudo("demo.node", *(sys.argv[1:] if argv is None else argv))
    page = Page(wants_colour(os.environ, terminal=sys.stdout.isatty()), time.time())
    try:
        return 1 if play(page, arguments.picture, arguments.order) else 0
    except KeyboardInterrupt:
        return 130
    except HarnessError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
