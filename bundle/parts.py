# SPDX-License-Identifier: Apache-2.0
"""Choose the files of the zipapp: the command line and the packages that it imports, from this virtual environment.

Nothing is fetched, so the versions are those that the tests have run with. Compiled modules are left out, because a zip
file cannot hold them. PyYAML and charset-normalizer have the same modules in Python.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT: Final = Path(__file__).parents[1]
NAME: Final = "oompolicy"
OURS: Final = ("cli", "kube", "manifests", "order", "parse", "resolve")
"""The packages of the program. Its other folders belong to the operator."""
PACKAGES: Final = (
    *("certifi", "charset-normalizer", "click", "durationpy", "idna", "kubernetes", "oauthlib", "python-dateutil"),
    *("PyYAML", "requests", "requests-oauthlib", "rich", "typing_extensions", "urllib3", "websocket-client"),
)
"""The distributions that the program imports. pydantic, which has no form without compiled code, is not one of them."""
_CLIENT: Final = (
    *("kubernetes/__init__.py", "kubernetes/config/", "kubernetes/utils/", "kubernetes/stream/"),
    "kubernetes/client/__init__.py",
)
_CLIENT_MODULES: Final = ("configuration", "exceptions", "rest")
_DATA: Final = (".pem", ".typed")


def files() -> dict[str, bytes]:
    """Return the content of each file by its path in the zipapp. PackageNotFoundError: one is not installed."""
    return dict(sorted([*_own(), *_installed()]))


def version() -> str:
    """Return the version of the command line."""
    return metadata.version(NAME)


def _own() -> Iterator[tuple[str, bytes]]:
    root = CHECKOUT / "operator"
    paths = [*root.glob(f"{NAME}/*.py"), *(file for each in OURS for file in root.glob(f"{NAME}/{each}/**/*.py"))]
    for path in paths:
        yield str(path.relative_to(root)), path.read_bytes()
    yield (
        f"{NAME}-{version()}.dist-info/METADATA",
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version()}\n".encode(),
    )


def _installed() -> Iterator[tuple[str, bytes]]:
    for name in PACKAGES:
        for file in metadata.distribution(name).files or ():
            if _is_wanted(str(file)):
                yield _place(str(file)), Path(str(file.locate())).read_bytes()


def _is_wanted(path: str) -> bool:
    """Return True for modules, their data and licences, without the models of the API that no command uses."""
    if ".dist-info/" in path:
        return "licen" in path.lower() or "notice" in path.lower()
    if not path.endswith((".py", *_DATA)) or path.endswith("_test.py"):
        return False
    if path.startswith("kubernetes/"):
        return path.startswith(_CLIENT) or path in [f"kubernetes/client/{each}.py" for each in _CLIENT_MODULES]
    return True


def _place(path: str) -> str:
    """Return the path in the zipapp. A licence gets a folder of its own, so that no distribution looks installed."""
    return f"licenses/{path}" if ".dist-info/" in path else path
