# SPDX-License-Identifier: Apache-2.0
"""Build kernels with the hook: `kernel/build` runs this program."""

from __future__ import annotations

import argparse
import sys

from vmtest.errors import HarnessError
from vmtest.image import ensure_image
from vmtest.patched.build import ensure_kernel
from vmtest.patched.check import check
from vmtest.patched.recipe import recipes


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    words = argparse.ArgumentParser(
        prog="kernel/build",
        description="Build Debian's kernel source with the patches of kernel/patches, and print where the result is: "
        "vmlinuz, config, release. It is kept until its inputs change.",
    )
    words.add_argument("--refresh", action="store_true", help="with the newest source that the archive has")
    words.add_argument(
        "--check", action="store_true", help="no kernel: checkpatch, and warnings in other configurations"
    )
    words.add_argument("name", nargs="+", choices=recipes(), metavar="NAME", help=", ".join(recipes()))
    return words


def main() -> int:
    """Build or check the kernels one after the other."""
    arguments = parser().parse_args()
    try:
        image = ensure_image()
        for name in arguments.name:
            if arguments.check:
                check(image, recipes()[name])
            else:
                print(ensure_kernel(image, name, refresh=arguments.refresh).vmlinuz.parent)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
