# SPDX-License-Identifier: Apache-2.0
"""The loader compiles the hook's module with the node's headers, or says why it cannot."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from oompolicy_agent.loader import build, module
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.main import main
from oompolicy_agent.loader.options import parse
from tests.unit.agent.kernel.test_btf import elf

GOOD = "modules:\n\tcp $(M)/oompolicy_hook.c $(M)/oompolicy_hook.ko\n"
BAD = 'modules:\n\techo "hook.c:7:1: error: unknown type" >&2; false\n'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "oompolicy_hook.c").write_text("compiled\n")
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "module"
    folder.mkdir()
    return folder / "oompolicy_hook.ko"


def headers(folder: Path, makefile: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "Makefile").write_text(makefile)
    return folder


def run(file: Path, headers: Path, source: Path) -> int:
    return main(["build", f"--module={file}", f"--headers={headers}", f"--source={source}"])


def test_the_module_is_made_and_its_source_left_alone(tmp_path: Path, file: Path, source: Path) -> None:
    """By the kernel's own makefiles, in a copy."""
    status = run(file, headers(tmp_path / "headers", GOOD), source)

    assert (0, "compiled\n", ["oompolicy_hook.c"]) == (
        status,
        file.read_text(),
        [each.name for each in source.iterdir()],
    )


def test_missing_headers_are_a_reason_and_no_failure(tmp_path: Path, file: Path, source: Path) -> None:
    """The loader says it where the module is missed, and the node's victims are reported all the same."""
    status = run(file, tmp_path / "none", source)

    assert 0 == status
    assert (
        "there is no module for this kernel: this kernel's headers are not installed: "
        f"there is no {tmp_path}/none/Makefile"
    ) == module.insert(file)


def test_the_compilers_own_words_are_the_reason(tmp_path: Path, file: Path, source: Path) -> None:
    """The first error, which the others follow from."""
    bad = headers(tmp_path / "headers", BAD)
    run(file, bad, source)

    assert f"it cannot be compiled against {bad}: hook.c:7:1: error: unknown type" == (
        module.reason_file(file).read_text().strip()
    )


def test_headers_without_vmlinux_get_the_running_kernels_types(
    tmp_path: Path, file: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a tree beside the headers, which are read-only and stay as they are."""
    (tmp_path / "types").write_text("types")
    monkeypatch.setattr(build, "TYPES", tmp_path / "types")
    bare = headers(tmp_path / "headers", "modules:\n\tcat vmlinux other >$(M)/oompolicy_hook.ko\n")
    (bare / "other").write_text(" and headers")
    run(file, bare, source)

    assert "types and headers" == file.read_text()
    assert ["Makefile", "other"] == sorted(each.name for each in bare.iterdir())


def test_headers_with_vmlinux_are_built_in(tmp_path: Path) -> None:
    """Its types are those of the kernel that the headers are of."""
    whole = headers(tmp_path / "headers", GOOD)
    (whole / "vmlinux").touch()

    assert whole == build.with_types(whole, tmp_path / "links", Path(__file__))
    assert not (tmp_path / "links").exists()


def test_a_module_without_btf_is_not_made(
    tmp_path: Path, file: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no types either: kbuild then makes one whose hook no program can find, and its status is 0."""
    monkeypatch.setattr(build, "TYPES", tmp_path / "none")
    (source / "oompolicy_hook.c").write_bytes(elf(b"", ".text"))
    bare = headers(tmp_path / "headers", GOOD)
    run(file, bare, source)

    assert not file.exists()
    assert (
        "there is no module for this kernel: it was built without BTF, and no program could attach to its hook: "
        f"there is no {bare}/vmlinux with the kernel's types"
    ) == module.insert(file)


def test_what_an_earlier_build_left_does_not_count(tmp_path: Path, file: Path, source: Path) -> None:
    """A module of another kernel would be taken for this one's."""
    file.write_text("old")
    run(file, tmp_path / "none", source)

    assert not file.exists()


@pytest.fixture
def version(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the module that the kernel has; `source` has all its files."""
    for name in ("oompolicy_trace.h", "Kbuild"):
        (source / name).write_text(name)
    monkeypatch.setattr(module, "SYS", tmp_path / "sys")
    (tmp_path / "sys").mkdir()
    return tmp_path / "sys/version"


def test_what_the_kernel_has_is_not_made_again(tmp_path: Path, file: Path, source: Path, version: Path) -> None:
    """Known by a hash of the source; should somebody take it out meanwhile, the loader says why there is none."""
    hashed = sha256(b"compiled\noompolicy_trace.hKbuild").hexdigest()
    version.write_text(f"0.1.0+{hashed[:12]}\n")
    status = run(file, headers(tmp_path / "headers", GOOD), source)

    assert (0, False) == (status, file.exists())
    assert "there is no module for this kernel: none was made, because the kernel had it" == module.insert(file)


@pytest.mark.parametrize("text", ["0.1.0", "0.1.0+123456789abc", ""])
def test_any_other_version_does_not_count(tmp_path: Path, file: Path, source: Path, version: Path, text: str) -> None:
    """The one that is made is told apart from what is loaded, and the node's status says so."""
    version.write_text(text)
    run(file, headers(tmp_path / "headers", GOOD), source)

    assert file.exists()


def test_a_source_that_is_not_there_is_a_failure(tmp_path: Path, file: Path) -> None:
    """It is the image that is wrong, not the node."""
    assert 1 == run(file, headers(tmp_path / "headers", GOOD), tmp_path / "none")
    with pytest.raises(LoaderError, match="the module's source is not in"):
        build.build(parse(["build", f"--module={file}", f"--source={tmp_path}/none"]))


def test_debians_headers_work_where_a_container_has_them(tmp_path: Path) -> None:
    """Their Makefile names another by its absolute path, which in a container is nothing or something else's."""
    common = headers(tmp_path / "usr/src/linux-headers-9-common", GOOD)
    own = headers(tmp_path / "usr/src/linux-headers-9-amd64", f"include /usr/src/{common.name}/Makefile\n")

    assert ("-C", str(own), "-f", f"{common}/Makefile", f"KBUILD_OUTPUT={own}") == build.tree(own, own)


def test_other_headers_are_taken_as_they_are(tmp_path: Path) -> None:
    """By the folder that the link leads to."""
    own = headers(tmp_path / "linux", GOOD)
    link = tmp_path / "build"
    link.symlink_to(own)

    assert ("-C", str(own)) == build.tree(link, link)


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            "a warning\nERROR: modpost: no symbol\nmake[2]: *** Error 1\nmake: *** Error 2\n",
            "ERROR: modpost: no symbol",
        ),
        ("make: *** Error 2\n", "make: *** Error 2"),
        ("", "make said nothing"),
    ],
)
def test_the_line_that_tells_most_is_quoted(stderr: str, expected: str) -> None:
    """Never make's summary of it."""
    assert expected == build.explain(stderr)


def test_a_module_can_be_named_for_each_kernel_at_once() -> None:
    """Nodes of one cluster run several."""
    options = parse(["attach", "--module=/lib/modules/%r/updates/dkms/oompolicy_hook.ko"])

    assert Path(f"/lib/modules/{os.uname().release}/updates/dkms/oompolicy_hook.ko") == options.module
