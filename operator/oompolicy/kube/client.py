# SPDX-License-Identifier: Apache-2.0
"""Takes configuration and connection pool from the kubernetes client, and nothing else of it.

Importing any module of a package runs the package's `__init__`, and those of `kubernetes` and `kubernetes.config`
import all there is: pydantic, requests, oauthlib. That is 17 MB of private memory (kubernetes 37.0.2) in each of
some thousand agents, for nothing they use. So the few modules needed are imported with these two packages
standing in for themselves, bare; whoever imports them later gets the whole.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def _bare(*packages: str) -> Iterator[None]:
    """Packages whose `__init__` does not run while their modules are imported. Those that are there already stay."""
    made = [name for name in packages if name not in sys.modules]
    for name in made:
        spec = find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.modules[name] = module_from_spec(spec)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


with _bare("kubernetes", "kubernetes.config"):
    from kubernetes.client.configuration import Configuration
    from kubernetes.client.rest import RESTClientObject
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.incluster_config import load_incluster_config

__all__ = ["ConfigException", "Configuration", "RESTClientObject", "from_kubeconfig", "in_cluster"]


def in_cluster() -> Configuration:
    """That of a pod's service account; its token file is read anew every minute. ConfigException, OSError."""
    configuration = Configuration()
    load_incluster_config(client_configuration=configuration)
    return configuration


def from_kubeconfig(path: Path) -> Configuration:
    """That of a kubeconfig's current context. ConfigException, OSError."""
    # The whole package: a kubeconfig may ask for any kind of login, and has no place on 5,000 nodes.
    from kubernetes.config import load_kube_config  # noqa: PLC0415

    configuration = Configuration()
    load_kube_config(config_file=str(path), client_configuration=configuration, persist_config=False)
    return configuration
