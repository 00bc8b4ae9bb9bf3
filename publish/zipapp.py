# SPDX-License-Identifier: Apache-2.0
"""Write the command line as one file that needs only Python: `python3 -m publish.zipapp --into FOLDER`.

The file has PyYAML in pure Python, so it runs on every machine. Two files of one commit are equal.
"""

from __future__ import annotations

import argparse
import io
import re
import time
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from publish.project import CHECKOUT, Project

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE: Final = CHECKOUT / "operator/oompolicy"
# Only operator and hooks of the chart need these, and the Python packages that these import.
_LEFT_OUT: Final = {"controller", "kube", "release"}
_MAIN: Final = "import sys\n\nfrom oompolicy.cli import main\n\nsys.exit(main())\n"
_SHEBANG: Final = b"#!/usr/bin/env python3\n"


def locked_version() -> str:
    """Return the version of PyYAML in the images."""
    found = re.search(r"^pyyaml==(\S+)", (CHECKOUT / "image/requirements.txt").read_text(), re.MULTILINE)
    if not found:
        raise ValueError("image/requirements.txt has no line `pyyaml==...`")
    return found[1]


def contents() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file, in a fixed order."""
    installed, locked = metadata.version("PyYAML"), locked_version()
    if installed != locked:
        raise ValueError(f"PyYAML {installed} is installed, and the images have {locked}: run `make setup`")
    yield "__main__.py", _MAIN.encode()
    yield "LICENSE", (CHECKOUT / "LICENSE").read_bytes()
    for file in sorted(_PACKAGE.rglob("*.py")):
        path = file.relative_to(_PACKAGE)
        if path.parts[0] not in _LEFT_OUT:
            yield f"oompolicy/{path}", file.read_bytes()
    library = Path(yaml.__file__).parent
    for file in sorted(library.glob("*.py")):
        yield f"yaml/{file.name}", file.read_bytes()
    for record in metadata.files("PyYAML") or ():
        if record.name == "LICENSE":
            yield "yaml/LICENSE", record.read_binary()


def archive(epoch: int) -> bytes:
    """Return the program, with one time for all files."""
    buffer = io.BytesIO(_SHEBANG)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as opened:
        for name, content in contents():
            entry = zipfile.ZipInfo(name, time.gmtime(epoch)[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(entry, content)
    return buffer.getvalue()


def write(into: Path) -> Path:
    """Write the program, and return its path."""
    into.mkdir(parents=True, exist_ok=True)
    target = into / "oompolicy.pyz"
    target.write_bytes(archive(Project.epoch()))
    target.chmod(0o755)
    return target


def main() -> None:
    """Write the program, and print its path."""
    parser = argparse.ArgumentParser(description="Write the command line as one file.")
    parser.add_argument("--into", required=True, type=Path, help="the folder")
    print(write(parser.parse_args().into))


if __name__ == "__main__":
    main()
