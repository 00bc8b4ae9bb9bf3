# SPDX-License-Identifier: Apache-2.0
"""The settings of this machine that a build needs: sources of packages, proxies and trusted authorities.

All settings are secrets, which BuildKit shows to a step and keeps out of layers, history and cache. Proxies are build
arguments that BuildKit knows and omits as well.
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
"""The path in the image."""
AUTHORITIES = "/run/secrets/ca.pem"
"""The path in the build."""
SUITES = ("trixie", "trixie-updates")
SECURITY = "trixie-security"
# These settings locate packages. A build does not need the rest of a pip.conf.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def secrets() -> dict[str, str]:
    """Return each secret of the Dockerfile by its name."""
    found = {
        "apt.sources": apt_sources(mirror.read_sources(), mirror.machine_codename()),
        "apt.conf": apt_conf(mirror.transport_options()),
        "pip.conf": pip_conf(pip_settings()),
    }
    bundle = authorities(os.environ)
    return found | ({"ca.pem": bundle.read_text()} if bundle else {})


def proxies(environment: Mapping[str, str]) -> list[str]:
    """Return the arguments of a build behind a proxy."""
    return [f"--build-arg={name}={environment[name]}" for name in PROXIES if name in environment]


def apt_sources(sources: list[mirror.Source], codename: str) -> str:
    """Return Debian 13 from this machine's mirror, with security updates if this machine gets them too."""
    main = mirror.find_mirror(sources, codename).uri
    lines = mirror.source_lines(mirror.Source(main, "", KEYRING), list(SUITES))
    security = next((source.uri for source in sources if source.suite == f"{codename}-security"), None)
    if security:
        lines += mirror.source_lines(mirror.Source(security, "", KEYRING), [SECURITY])
    return "\n".join(lines) + "\n"


def apt_conf(options: Iterable[str]) -> str:
    """Return proxy and TLS settings. The file of authorities has another path in the build."""
    moved = (f'Acquire::https::CaInfo "{AUTHORITIES}";' if "CaInfo" in option else option for option in options)
    return "".join(f"{line}\n" for line in moved)


def pip_settings() -> dict[str, str]:
    """Return pip's settings on this machine, from files or environment: the name without its section, and the value."""
    argv = [sys.executable, "-m", "pip", "config", "list"]
    text = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    pairs = (line.partition("=")[::2] for line in text.splitlines())
    return {name.rpartition(".")[2]: str(ast.literal_eval(value)) for name, value in pairs}


def pip_conf(settings: Mapping[str, str]) -> str:
    """Return a pip.conf with the settings of `PIP_KEYS`."""
    return "\n".join(["[global]", *(f"{name} = {settings[name]}" for name in PIP_KEYS if name in settings)]) + "\n"


def authorities(environment: Mapping[str, str]) -> Path | None:
    """Return the bundle that clients on this machine trust: pip's or OpenSSL's. None if there is neither."""
    named = [environment.get("PIP_CERT"), environment.get("REQUESTS_CA_BUNDLE"), environment.get("SSL_CERT_FILE")]
    usual = [ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt"]
    return next((Path(name) for name in [*named, *usual] if name and Path(name).is_file()), None)
