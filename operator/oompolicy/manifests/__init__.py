# SPDX-License-Identifier: Apache-2.0
"""Manifests in files and folders: found, read as kubectl reads them, sorted by kind, and checked.

Here belong the YAML dialect and the problems that a reader of files can have.
The meaning of a field belongs to `parse`.
"""

from oompolicy.manifests.collect import (
    Manifests,
    load_manifests,
    manifests_from_checkpoint,
    manifests_from_objects,
)

__all__ = ["Manifests", "load_manifests", "manifests_from_checkpoint", "manifests_from_objects"]
