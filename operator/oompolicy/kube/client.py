# SPDX-License-Identifier: Apache-2.0
"""Imports the configuration and the connection pool of the kubernetes client without the rest of the client.

An import of any module of a package runs the package's `__init__`. Those of `kubernetes` and `kubernetes.config`
import the whole client with pydantic, requests and oauthlib. That is 17 MB of private memory (kubernetes 37.0.2) in
each of some thousand agents, and no agent uses it. So this module makes both packages lazy, as `kubernetes.client` is
by itself. Their `__init__` runs when code first asks for a name that it defines.

Pods use the client's `Configuration` too, because it refreshes the token and reads the proxy settings, and because
kubeconfigs need it in any case for their kinds of login.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def _make_lazy(name: str) -> None:
    """Replace a package by a lazy module, unless it is imported already. Its parent package must be imported."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader, module = spec.loader, module_from_spec(spec)

    def run_init(attribute: str) -> Any:  # noqa: ANN401 - any attribute of the package
        # PEP 562: called for missing attributes. It is removed first, because `__init__` imports from its own package.
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

__all__ = ["ConfigException", "Configuration", "RESTClientObject", "from_kubeconfig", "in_cluster", "namespace_of"]


def in_cluster() -> Configuration:
    """Return the configuration of a pod's service account. Its token file is read again every minute.

    Raise ConfigException or OSError if it cannot be read.
    """
    configuration = Configuration()
    load_incluster_config(client_configuration=configuration)
    return configuration


def from_kubeconfig(path: Path, context: str | None = None) -> Configuration:
    """Return the configuration of a context, by default the current one. `path` may be a list, as in KUBECONFIG.

    Raise ConfigException or OSError if it cannot be read.
    """
    load_kube_config = _of_kubeconfigs("load_kube_config")
    configuration = Configuration()
    load_kube_config(config_file=str(path), context=context, client_configuration=configuration, persist_config=False)
    return configuration


def namespace_of(path: Path, context: str | None = None) -> str:
    """Return the namespace of a context, which is `default` if the context has none. It raises as `from_kubeconfig`."""
    contexts, active = _of_kubeconfigs("list_kube_config_contexts")(config_file=str(path))
    chosen = next((each for each in contexts if each["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def _of_kubeconfigs(name: str) -> Any:  # noqa: ANN401 - any function of the package
    """Import a function of `kubernetes.config`, which loads the code of all logins. Agents in pods do not use it.

    That code needs the class ApiClient, and so pydantic with its compiled part, only to refresh the token of an OIDC
    provider. `_api_client` defers this, so that the kubectl plugin starts sooner and is one file for all machines.
    """
    import kubernetes.client  # noqa: PLC0415
    import kubernetes.config  # noqa: PLC0415

    names = vars(kubernetes.client)
    missing = "ApiClient" not in names
    if missing:
        names["ApiClient"] = _api_client
    try:
        return getattr(kubernetes.config, name)
    finally:
        if missing:
            del names["ApiClient"]


def _api_client(*arguments: Any, **fields: Any) -> Any:  # noqa: ANN401 - those of the class
    """Make an ApiClient."""
    from kubernetes.client import ApiClient  # noqa: PLC0415

    return ApiClient(*arguments, **fields)
