# SPDX-License-Identifier: Apache-2.0
"""A build in the image's root leaves no mounts and no processes."""

from pathlib import Path

from vmtest.chroot import chroot_command


def test_mounts_and_processes_of_a_build_end_with_it() -> None:
    words = chroot_command(Path("/image/root"), ["make"], {"build": Path("/cache/work")})

    assert ["setpriv", "--pdeathsig", "KILL", "--"] == words[:4]
    assert {"--mount", "--pid", "--fork", "--kill-child"} <= set(words)
    assert words[words.index("--propagation") + 1] == "private"


def test_host_folders_precede_the_command() -> None:
    words = chroot_command(Path("/image/root"), ["make", "-C", "/mnt/a"], {"a": Path("/x"), "b": Path("/y")})

    assert ["/image/root", "/x", "a", "/y", "b", "--", "make", "-C", "/mnt/a"] == words[-9:]


def test_the_hosts_environment_is_not_passed_on() -> None:
    words = chroot_command(Path("/image/root"), ["make"], {})

    assert ["env", "-i"] == words[4:6]
