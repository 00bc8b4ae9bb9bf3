# SPDX-License-Identifier: Apache-2.0
"""What a build has to know of this machine: where packages come from, through which proxy, trusting whom.

All of it goes as secrets, which BuildKit shows to a step and keeps out of layers, history and cache; proxies as the
build arguments that BuildKit knows and leaves out as well.
"""

from __future__ import annotations

import ast
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest import mirror

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""In the image."""
AUTHORITIES = "/run/secrets/ca.pem"
"""In the build."""
SUITES = ("trixie", "trixie-updates")
SECURITY = "trixie-security"
# What tells where packages are; the rest of a pip.conf is the machine's own business.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def secrets() -> dict[str, str]:
    """Each secret of the Dockerfile by its name."""
    found = {
        "apt.sources": apt_sources(mirror.read_sources(), mirror.machine_codename()),
        "apt.conf": apt_conf(mirror.transport_options()),
        "pip.conf": pip_conf(pip_settings()),
    }
    bundle = authorities(os.environ)
    return found | ({"ca.pem": bundle.read_text()} if bundle else {})


def proxies(environment: Mapping[str, str]) -> list[str]:
    """The arguments of a build behind a proxy."""
    return [f"--build-arg={name}={environment[name]}" for name in PROXIES if name in environment]


def apt_sources(sources: list[mirror.Source], codename: str) -> str:
    """Debian 13 from where this machine gets its own release, and its security updates if it gets them too."""
    main = mirror.find_mirror(sources, codename).uri
    lines = mirror.source_lines(mirror.Source(main, "", KEYRING), list(SUITES))
    security = next((source.uri for source in sources if source.suite == f"{codename}-security"), None)
    if security:
        lines += mirror.source_lines(mirror.Source(security, "", KEYRING), [SECURITY])
    return "\n".join(lines) + "\n"


def apt_conf(options: Iterable[str]) -> str:
    """Proxy and TLS; the file of authorities has another place in the build."""
    moved = (f'Acquire::https::CaInfo "{AUTHORITIES}";' if "CaInfo" in option else option for option in options)
    return "".join(f"{line}\n" for line in moved)


def pip_settings() -> dict[str, str]:
    """What pip on this machine is told, by files or environment: the name without its section, and the value."""
    argv = [sys.executable, "-m", "pip", "config", "list"]
    text = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    pairs = (line.partition("=")[::2] for line in text.splitlines())
    return {name.rpartition(".")[2]: str(ast.literal_eval(value)) for name, value in pairs}


def pip_conf(settings: Mapping[str, str]) -> str:
    """Those of `PIP_KEYS`."""
    return "\n".join(["[global]", *(f"{name} = {settings[name]}" for name in PIP_KEYS if name in settings)]) + "\n"


def authorities(environment: Mapping[str, str]) -> Path | None:
    """The bundle that clients on this machine trust: pip's, or that of OpenSSL. None where there is neither."""
    named = [environment.get("PIP_CERT"), environment.get("REQUESTS_CA_BUNDLE"), environment.get("SSL_CERT_FILE")]
    usual = [ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt"]
    return next((Path(name) for name in [*named, *usual] if name and Path(name).is_file()), None)
