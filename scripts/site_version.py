# SPDX-License-Identifier: Apache-2.0
"""Gives the pages of a published version a list of all versions. A hook of MkDocs.

The list is a file beside the versions, which mike writes. A site of `make docs` has no such file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the program that writes the list, if it runs this build."""
    if "MIKE_DOCS_VERSION" in os.environ:
        config.extra["version"] = {"provider": "mike", "alias": True}
    return config
