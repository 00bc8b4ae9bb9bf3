# SPDX-License-Identifier: Apache-2.0
"""Find the Debian mirror that this machine's apt already uses.

Packages of another release come from the same mirror, so that the harness works behind any mirror.
`apt-get indextargets` could parse the configuration, but lists nothing before the first `apt-get update`.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

APT = Path("/etc/apt")
ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>\S.*)$")


@dataclass(frozen=True)
class Source:
    """One suite at one address, as apt is configured."""

    uri: str
    suite: str
    signed_by: str | None


def parse_list(text: str) -> Iterator[Source]:
    """Read the one-line format (`sources.list`, `*.list`)."""
    for line in text.splitlines():
        if (match := ONE_LINE.match(line.partition("#")[0].strip())) is None:
            continue
        if "main" not in match["components"].split():
            continue
        options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
        yield Source(match["uri"], match["suite"], keyring(options.get("signed-by", "")))


def parse_deb822(text: str) -> Iterator[Source]:
    """Read the deb822 format (`*.sources`)."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = stanza_fields(stanza)
        if fields.get("enabled", "yes").lower() in {"no", "false", "0"}:
            continue
        if "deb" not in fields.get("types", "").split() or "main" not in fields.get("components", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, keyring(fields.get("signed-by", "")))


def stanza_fields(stanza: str) -> dict[str, str]:
    """Split one stanza into lower-case names and values. A continuation line belongs to the value before it."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
            continue
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = value.strip()
    return fields


def keyring(value: str) -> str | None:
    """Return the key file. An embedded key or a fingerprint is no file, and gives None."""
    return value if value.startswith("/") else None


def read_sources(apt: Path = APT) -> list[Source]:
    """Read all sources of apt on this machine."""
    sources: list[Source] = []
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        if file.is_file():
            sources.extend(parse_list(file.read_text()))
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        sources.extend(parse_deb822(file.read_text()))
    return sources


def find_mirror(sources: list[Source], codename: str) -> Source:
    """Return the source of the machine's own release. Security and third-party archives have other suite names."""
    aliases = {"bookworm": "oldstable", "trixie": "stable"}
    for source in sources:
        if source.suite in {codename, aliases.get(codename)}:
            return source
    raise ImageError(f"apt on this machine has no source for {codename} main under {APT}")


def machine_codename(os_release: Path = Path("/etc/os-release")) -> str:
    """Return Debian's code name of this machine."""
    match = re.search(r"^VERSION_CODENAME=\"?([a-z]+)", os_release.read_text(), re.MULTILINE)
    if match is None:
        raise ImageError(f"{os_release} names no VERSION_CODENAME: the image is made on Debian 12 or 13")
    return match[1]


def source_lines(mirror: Source, suites: list[str]) -> list[str]:
    """Write the suites in the one-line format."""
    options = f"[signed-by={mirror.signed_by}] " if mirror.signed_by else ""
    return [f"deb {options}{mirror.uri} {suite} main" for suite in suites]


def transport_options() -> list[str]:
    """Return apt's proxy and TLS settings, because mmdebstrap does not read them."""
    dump = subprocess.run(["apt-config", "dump"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    wanted = re.compile(r"^Acquire::(https?|Retries|Check-Valid-Until|Check-Date)\b.*\"[^\"]+\";$")
    return [line for line in dump.stdout.splitlines() if wanted.match(line)]
