# SPDX-License-Identifier: Apache-2.0
"""Write zipapp and archive so that two builds of the same files are equal byte by byte."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipapp
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAIN: Final = "import sys\n\nfrom oompolicy.cli import main\n\nsys.exit(main())\n"
_INTERPRETER: Final = "/usr/bin/env python3"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o644
_EXECUTABLE: Final = 0o755


def write_zipapp(target: Path, files: Mapping[str, bytes]) -> None:
    """Write an executable zipapp with the files and a `__main__.py`."""
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.zip"
        with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in {"__main__.py": _MAIN.encode(), **files}.items():
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = _MODE << 16
                archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
        zipapp.create_archive(plain, target, _INTERPRETER)
    target.chmod(_EXECUTABLE)


def write_tar(target: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Write a compressed archive of files, each with its mode."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    target.write_bytes(gzip.compress(plain.getvalue(), mtime=0))
