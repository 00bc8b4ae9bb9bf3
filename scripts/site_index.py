# SPDX-License-Identifier: Apache-2.0
"""Writes the search index of the site as a script, for pages that are read from a disk. A hook of MkDocs.

A browser does not let a page of the disk fetch a JSON file, so the theme loads `search_index.js` there. Without that
file all scripts of the theme end with an error, also those for the palette and for the table of contents. The search
itself needs a server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.plugins import event_priority

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig


@event_priority(-100)  # after the plugin that writes the index
def on_post_build(config: MkDocsConfig) -> None:
    """Write the script beside the index."""
    index = Path(config.site_dir) / "search/search_index.json"
    index.with_suffix(".js").write_text(f"var __index = {index.read_text()}")
