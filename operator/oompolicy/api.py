# SPDX-License-Identifier: Apache-2.0
"""The group, the version and the paths of the API, and of the collections of Kubernetes that it builds on."""

from typing import Final

GROUP: Final = "oompolicy.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

OOMPOLICIES: Final = "oompolicies"
POLICIES: Final = f"/apis/{API_VERSION}/{OOMPOLICIES}"
OOMNODES: Final = f"/apis/{API_VERSION}/oomnodes"
OOMSETTINGS: Final = "oomsettings"
SETTINGS: Final = f"/apis/{API_VERSION}/{OOMSETTINGS}"

PODS: Final = "/api/v1/pods"
NAMESPACES: Final = "/api/v1/namespaces"
NODES: Final = "/api/v1/nodes"
