# SPDX-License-Identifier: Apache-2.0
"""The guest's packages come from the mirror that apt on this machine uses."""

from pathlib import Path

import pytest

from vmtest.errors import ImageError
from vmtest.mirror import Source, find_mirror, machine_codename, parse_deb822, parse_list, read_sources, source_lines

DEB822 = """\
Types: deb
# a comment between the fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites:
 bookworm-security
Components: main contrib

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""

LIST = """\
# deb http://off.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://other.example/debian bookworm contrib
deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian bookworm contrib main # ours
deb http://mirror.example/debian-security bookworm-security main
"""


def test_every_suite_of_a_deb822_stanza_is_a_source() -> None:
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"

    assert [
        Source("http://mirror.example/debian", "bookworm", key),
        Source("http://mirror.example/debian", "bookworm-updates", key),
        Source("http://mirror.example/debian-security", "bookworm-security", None),
    ] == list(parse_deb822(DEB822))


def test_one_line_sources_are_read_without_comments_and_other_components() -> None:
    assert [
        Source("https://mirror.example/debian", "bookworm", "/k.gpg"),
        Source("http://mirror.example/debian-security", "bookworm-security", None),
    ] == list(parse_list(LIST))


@pytest.mark.parametrize(
    "signed_by", ["", "Signed-By: 0123ABCD\n", "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n"]
)
def test_only_a_key_file_is_passed_on(signed_by: str) -> None:
    stanza = f"Types: deb\nURIs: http://m.example/debian\nSuites: trixie\nComponents: main\n{signed_by}"

    assert [Source("http://m.example/debian", "trixie", None)] == list(parse_deb822(stanza))


def test_both_formats_of_a_machine_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian trixie main\n")
    (tmp_path / "sources.list.d/b.list").write_text("deb http://b.example/debian trixie-backports main\n")
    (tmp_path / "sources.list.d/c.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/d.sources.disabled").write_text(DEB822)

    assert ["trixie", "trixie-backports", "bookworm", "bookworm-updates", "bookworm-security"] == [
        source.suite for source in read_sources(tmp_path)
    ]


@pytest.mark.parametrize("suite", ["trixie", "stable"])
def test_the_mirror_is_that_of_the_machines_own_release(suite: str) -> None:
    wanted = Source("http://m.example/debian", suite, None)
    sources = [Source("http://s.example/security", "trixie-security", None), wanted]

    assert wanted == find_mirror(sources, "trixie")


def test_a_machine_without_a_debian_source_is_an_error() -> None:
    with pytest.raises(ImageError, match="no source for bookworm"):
        find_mirror([Source("http://x.example", "stable-x", None)], "bookworm")


def test_other_suites_come_from_the_same_mirror_with_the_same_key() -> None:
    signed = Source("http://m.example/debian", "bookworm", "/k.gpg")

    assert ["deb [signed-by=/k.gpg] http://m.example/debian trixie main"] == source_lines(signed, ["trixie"])
    assert ["deb http://m.example/debian trixie main"] == source_lines(Source(signed.uri, "", None), ["trixie"])


@pytest.mark.parametrize("line", ["VERSION_CODENAME=trixie", 'VERSION_CODENAME="trixie"'])
def test_the_code_name_is_read_from_os_release(tmp_path: Path, line: str) -> None:
    (tmp_path / "os-release").write_text(f"ID=debian\n{line}\n")

    assert machine_codename(tmp_path / "os-release") == "trixie"


def test_a_machine_without_a_code_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=arch\n")

    with pytest.raises(ImageError, match="Debian 12 or 13"):
        machine_codename(tmp_path / "os-release")
