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


def files_of(path: Path, *, recursive: bool = False) -> list[Path]:
    """Return `path` itself, or the visible manifests in the directory `path`, sorted. May raise `OSError`.

    With `recursive`, this includes the visible directories below it. Links to directories are not followed.
    """
    if path == STANDARD_INPUT or not path.is_dir():
        return [path]
    entries = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    files = [each for each in entries if each.suffix in _SUFFIXES and not each.is_dir()]
    below = (each for each in entries if recursive and each.is_dir() and not each.is_symlink())
    return files + [file for folder in below for file in files_of(folder, recursive=True)]


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
