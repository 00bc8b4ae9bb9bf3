# SPDX-License-Identifier: Apache-2.0
"""The group, the version and the paths of this project's API, and the paths of Kubernetes' own API that it reads."""

from typing import Final

GROUP: Final = "oompolicy.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

POLICIES: Final = f"/apis/{API_VERSION}/oompolicies"
OOMNODES: Final = f"/apis/{API_VERSION}/oomnodes"
