# SPDX-License-Identifier: Apache-2.0
"""Find the files that a path names, and read the documents of each: YAML or JSON, as kubectl reads it."""

import sys
from pathlib import Path
from typing import Final

import yaml

from oompolicy.manifests.dialect import parse_documents
from oompolicy.parse.problems import Problem

STANDARD_INPUT: Final = Path("-")
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


def files_of(path: Path) -> list[Path]:
    """Return `path` itself, or the visible manifests directly in the directory `path`, sorted. May raise `OSError`."""
    if path == STANDARD_INPUT or not path.is_dir():
        return [path]
    found = (file for file in path.iterdir() if file.suffix in _SUFFIXES and not file.name.startswith("."))
    return sorted(file for file in found if not file.is_dir())


def read_documents(file: Path) -> tuple[list[object], list[Problem]]:
    """Return the documents of a file without empty ones. If one cannot be read, return none of them and the problem."""
    try:
        data = sys.stdin.buffer.read() if file == STANDARD_INPUT else file.read_bytes()
        return parse_documents(data.decode("utf-8")), []
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: {error.reason} at byte {error.start}"
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
    except RecursionError:
        message = "is nested too deeply"
    except ValueError as error:
        # A number beyond all that JSON's readers can hold.
        message = f"holds a value that cannot be read: {error}"
    return [], [Problem(str(file), "", "", message)]
