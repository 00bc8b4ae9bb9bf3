# SPDX-License-Identifier: Apache-2.0
"""Takes configuration and connection pool from the kubernetes client, and nothing else of it.

Importing any module of a package runs the package's `__init__`, and those of `kubernetes` and `kubernetes.config`
import all there is: pydantic, requests, oauthlib. That is 17 MB of private memory (kubernetes 37.0.2) in each of
some thousand agents, for nothing they use. So these two are made lazy, as `kubernetes.client` is by itself: their
`__init__` runs when somebody asks them for what it would have defined.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def _make_lazy(name: str) -> None:
    """Stand in for a package, unless it is imported already; the one it is in, if any, is."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader, module = spec.loader, module_from_spec(spec)

    def run_init(attribute: str) -> Any:  # noqa: ANN401 - whatever the package has
        # PEP 562: called for what is not there. Gone first, since `__init__` itself imports from the package.
        vars(module).pop("__getattr__", None)
        loader.exec_module(module)
        return getattr(module, attribute)

    vars(module)["__getattr__"] = run_init
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


for _package in ("kubernetes", "kubernetes.config"):
    _make_lazy(_package)

from kubernetes.client.configuration import Configuration  # noqa: E402
from kubernetes.client.rest import RESTClientObject  # noqa: E402
from kubernetes.config.config_exception import ConfigException  # noqa: E402
from kubernetes.config.incluster_config import load_incluster_config  # noqa: E402

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
