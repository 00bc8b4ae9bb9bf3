# SPDX-License-Identifier: Apache-2.0
"""The names and addresses of publish/project.toml, and the version of pyproject.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

CHECKOUT: Final = Path(__file__).parents[1]
CHART: Final = CHECKOUT / "charts/oompolicy"
FILE: Final = "publish/project.toml"
# RFC 2606 reserves this domain, so no real address ends with it.
_PLACEHOLDER: Final = ".example"


@dataclass(frozen=True)
class Maintainer:
    """A person whom the chart names."""

    name: str
    email: str
    url: str


@dataclass(frozen=True)
class Project:
    """The addresses of the project."""

    version: str
    repository: str
    registry: str
    contact: str
    maintainers: tuple[Maintainer, ...]

    @classmethod
    def load(cls, checkout: Path = CHECKOUT) -> Self:
        """Read both files."""
        raw: dict[str, Any] = tomllib.loads((checkout / FILE).read_text())
        version = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"]
        maintainers = tuple(Maintainer(**each) for each in raw.pop("maintainers"))
        return cls(version=version, maintainers=maintainers, **raw)

    @staticmethod
    def epoch() -> int:
        """Return the time of all published files, so that two builds of one commit are equal."""
        return int((CHECKOUT / "image/source-date-epoch").read_text())

    @property
    def tag(self) -> str:
        """The tag of this version in the repository."""
        return f"v{self.version}"

    def file(self, path: str, view: str = "blob") -> str:
        """Return the address of a file of this version: a page about it, or with the view `raw` the file itself."""
        return f"{self.repository}/{view}/{self.tag}/{path}"

    @property
    def placeholders(self) -> list[str]:
        """The addresses that a maintainer has to replace before a release."""
        people = [value for each in self.maintainers for value in (each.email, each.url)]
        return [each for each in (self.repository, self.registry, self.contact, *people) if _PLACEHOLDER in each]
