# SPDX-License-Identifier: Apache-2.0
"""Links the pages of the site with the repository of publish/project.toml. A hook of MkDocs.

While that address is a placeholder, there are no links. `repo_url` is not set, because the theme would then ask the
repository's server for numbers, and the site loads nothing from other sites.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

PROJECT: Final = "publish/project.toml"
# RFC 2606 reserves this domain.
PLACEHOLDER: Final = ".example/"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the links to the footer and to each page."""
    file = Path(config.config_file_path).parent / PROJECT
    repository = tomllib.loads(file.read_text())["repository"]
    if PLACEHOLDER in repository:
        return config
    config.edit_uri = f"{repository}/edit/main/docs/"
    config.extra["social"] = [{"icon": "material/source-repository", "link": repository, "name": "repository"}]
    config.theme["features"].append("content.action.edit")
    return config
