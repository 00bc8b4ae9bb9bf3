# SPDX-License-Identifier: Apache-2.0
"""`build` compiles the hook's module with the node's headers, or writes the reason why it cannot."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from oompolicy_agent.loader import build, module
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.main import main
from oompolicy_agent.loader.settings import parse
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


def test_the_module_is_compiled_in_a_copy_of_its_source(tmp_path: Path, file: Path, source: Path) -> None:
    """The kernel's own makefiles compile a copy, and the source stays as it is."""
    status = run(file, headers(tmp_path / "headers", GOOD), source)

    assert 0 == status
    assert "compiled\n" == file.read_text()
    assert ["oompolicy_hook.c"] == [each.name for each in source.iterdir()]


def test_missing_headers_are_a_reason_and_no_failure(tmp_path: Path, file: Path, source: Path) -> None:
    """`build` succeeds, and `attach` reports the reason. The node's victims are reported all the same."""
    status = run(file, tmp_path / "none", source)

    assert 0 == status
    assert (
        "there is no module for this kernel: this kernel's headers are not installed: "
        f"there is no {tmp_path}/none/Makefile"
    ) == module.insert(file)


def test_the_reason_quotes_the_compilers_error(tmp_path: Path, file: Path, source: Path) -> None:
    """If the compilation fails, the reason ends with the first error."""
    bad = headers(tmp_path / "headers", BAD)
    run(file, bad, source)

    assert f"it cannot be compiled against {bad}: hook.c:7:1: error: unknown type" == (
        module.reason_file(file).read_text().strip()
    )


def test_headers_without_vmlinux_get_the_running_kernels_types(
    tmp_path: Path, file: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build uses a folder beside the headers, which are read-only and stay as they are."""
    (tmp_path / "types").write_text("types")
    monkeypatch.setattr(build, "TYPES", tmp_path / "types")
    bare = headers(tmp_path / "headers", "modules:\n\tcat vmlinux other >$(M)/oompolicy_hook.ko\n")
    (bare / "other").write_text(" and headers")
    run(file, bare, source)

    assert "types and headers" == file.read_text()
    assert ["Makefile", "other"] == sorted(each.name for each in bare.iterdir())


def test_headers_with_vmlinux_are_used_directly(tmp_path: Path) -> None:
    """The types in that vmlinux belong to the same kernel as the headers."""
    whole = headers(tmp_path / "headers", GOOD)
    (whole / "vmlinux").touch()

    assert whole == build.folder_with_types(whole, tmp_path / "links", Path(__file__))
    assert not (tmp_path / "links").exists()


def test_a_module_without_btf_is_rejected(
    tmp_path: Path, file: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If all types are missing, kbuild makes a module with a hook that no program can find, and ends with status 0."""
    monkeypatch.setattr(build, "TYPES", tmp_path / "none")
    (source / "oompolicy_hook.c").write_bytes(elf(b"", ".text"))
    bare = headers(tmp_path / "headers", GOOD)
    run(file, bare, source)

    assert not file.exists()
    assert (
        "there is no module for this kernel: it was built without BTF, and no program could attach to its hook: "
        f"there is no {bare}/vmlinux with the kernel's types"
    ) == module.insert(file)


def test_the_module_of_an_earlier_build_is_deleted(tmp_path: Path, file: Path, source: Path) -> None:
    """That module may be of another kernel, so it does not stay when the build fails."""
    file.write_text("old")
    run(file, tmp_path / "none", source)

    assert not file.exists()


@pytest.fixture
def version(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file with the version of the loaded module. `source` has all files of the module."""
    for name in ("oompolicy_trace.h", "Kbuild"):
        (source / name).write_text(name)
    monkeypatch.setattr(module, "SYS", tmp_path / "sys")
    (tmp_path / "sys").mkdir()
    return tmp_path / "sys/version"


def test_a_loaded_module_is_not_compiled_again(tmp_path: Path, file: Path, source: Path, version: Path) -> None:
    """The loaded module has the hash of the source in its version. If it is removed later, `attach` has a reason."""
    hashed = sha256(b"compiled\noompolicy_trace.hKbuild").hexdigest()
    version.write_text(f"0.1.0+{hashed[:12]}\n")
    status = run(file, headers(tmp_path / "headers", GOOD), source)

    assert 0 == status
    assert not file.exists()
    assert (
        "there is no module for this kernel: the build made none, because the kernel had it loaded"
    ) == module.insert(file)


@pytest.mark.parametrize("text", ["0.1.0", "0.1.0+123456789abc", ""])
def test_a_module_of_another_source_is_compiled(
    tmp_path: Path, file: Path, source: Path, version: Path, text: str
) -> None:
    """If the loaded module has another hash or none, the build makes the module."""
    version.write_text(text)
    run(file, headers(tmp_path / "headers", GOOD), source)

    assert file.exists()


def test_a_missing_source_is_a_failure(tmp_path: Path, file: Path) -> None:
    """Without the module's source the image is broken, so the build ends with status 1."""
    assert 1 == run(file, headers(tmp_path / "headers", GOOD), tmp_path / "none")
    with pytest.raises(LoaderError, match="the module's source is not in"):
        build.build(parse(["build", f"--module={file}", f"--source={tmp_path}/none"]))


def test_debians_headers_work_in_a_container(tmp_path: Path) -> None:
    """Their Makefile names another one by its absolute path, which in a container is missing or another file."""
    common = headers(tmp_path / "usr/src/linux-headers-9-common", GOOD)
    own = headers(tmp_path / "usr/src/linux-headers-9-amd64", f"include /usr/src/{common.name}/Makefile\n")

    assert ("-C", str(own), "-f", f"{common}/Makefile", f"KBUILD_OUTPUT={own}") == build.kernel_arguments(own, own)


def test_other_headers_are_used_at_the_end_of_the_link(tmp_path: Path) -> None:
    """Headers that include no other package need only their own folder, with links resolved."""
    own = headers(tmp_path / "linux", GOOD)
    link = tmp_path / "build"
    link.symlink_to(own)

    assert ("-C", str(own)) == build.kernel_arguments(link, link)


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            "a warning\nERROR: modpost: no symbol\nmake[2]: *** Error 1\nmake: *** Error 2\n",
            "ERROR: modpost: no symbol",
        ),
        ("make: *** Error 2\n", "make: *** Error 2"),
        ("", "make printed no error"),
    ],
)
def test_the_first_error_is_quoted(stderr: str, expected: str) -> None:
    """Make's own summary is quoted only if there is no other line."""
    assert expected == build.first_error(stderr)


def test_the_modules_path_may_have_the_kernel_release() -> None:
    """`%r` stands for the release, because the nodes of one cluster run several kernels."""
    settings = parse(["attach", "--module=/lib/modules/%r/updates/dkms/oompolicy_hook.ko"])

    assert Path(f"/lib/modules/{os.uname().release}/updates/dkms/oompolicy_hook.ko") == settings.module
