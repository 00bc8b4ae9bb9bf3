# SPDX-License-Identifier: Apache-2.0
"""A meta package gives the versioned kernel package."""

from pathlib import Path

import pytest

from vmtest.errors import ImageError
from vmtest.packages import versioned_package, write_apt_config

RECORD = """\
Package: linux-image-cloud-amd64
Version: 7.3.4-1~bpo13+1
Depends: linux-base (>= 4.17~), linux-image-7.3.4+deb13-cloud-amd64 (= 7.3.4-1~bpo13+1)
Description: Linux image for linux-image-1-cloud-amd64
"""


def test_the_versioned_package_is_found_among_the_dependencies() -> None:
    assert versioned_package(RECORD) == "linux-image-7.3.4+deb13-cloud-amd64"
    assert versioned_package(RECORD.replace("image", "headers")) == "linux-headers-7.3.4+deb13-cloud-amd64"


def test_a_record_without_a_versioned_package_is_an_error() -> None:
    with pytest.raises(ImageError, match="no versioned kernel package"):
        versioned_package("Package: linux-image-cloud-amd64\nDepends: linux-base\n")


def test_apt_has_its_own_state_and_the_machines_proxy(tmp_path: Path) -> None:
    config = write_apt_config(tmp_path, ["deb http://m.example trixie main"], ['Acquire::http::Proxy "http://p:1";'])

    text = config.read_text()
    assert text.startswith('Acquire::http::Proxy "http://p:1";\n')
    assert f'Dir::State::lists "{tmp_path}/lists";' in text
    assert 'Dir::Etc::sourceparts "/dev/null";' in text
