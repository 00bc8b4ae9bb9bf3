# SPDX-License-Identifier: Apache-2.0
"""The reasons that the loader gives for a module that is not loaded."""

from pathlib import Path

import pytest

from oompolicy_agent.loader import module
from oompolicy_agent.loader.command import Result
from tests.unit.agent.kernel.test_btf import Blob, elf, split

INTEGRITY = "integrity"

KERNEL = Blob()
KERNEL.function("oom_evaluate_task")


@pytest.fixture(autouse=True)
def kernel_btf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vmlinux").write_bytes(KERNEL.raw())
    monkeypatch.setattr(module, "KERNEL_BTF", tmp_path)


def with_function(name: str) -> bytes:
    """Return a module for this kernel, whose BTF has one function."""
    part = split(KERNEL)
    part.function(name)
    return elf(part.raw())


def insmod(reason: str) -> str:
    return f"insmod: ERROR: could not insert module /m/oompolicy_hook.ko: {reason}\n"


def test_the_last_line_of_the_kernels_log_is_quoted() -> None:
    logged = ("ready", "cannot hook oom_evaluate_task(): it was inlined")

    sentence = module.refusal("oompolicy_hook.ko", insmod("No such file or directory"), logged, None)

    assert sentence == (
        "the kernel refused oompolicy_hook.ko: No such file or directory; "
        "the kernel's log says: cannot hook oom_evaluate_task(): it was inlined"
    )


def test_a_missing_signature_names_secure_boot() -> None:
    sentence = module.refusal("hook.ko", insmod("Key was rejected by service"), (), INTEGRITY)

    assert "Secure Boot" in sentence


@pytest.mark.parametrize(("mode", "words"), [(INTEGRITY, "locked down (integrity)"), (None, "CAP_SYS_MODULE")])
def test_not_permitted_names_lockdown_or_the_capability(mode: str | None, words: str) -> None:
    assert words in module.refusal("hook.ko", insmod("Operation not permitted"), (), mode)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("[none] integrity confidentiality\n", None),
        ("none [integrity] confidentiality\n", "integrity"),
        ("none integrity [confidentiality]\n", "confidentiality"),
        ("", None),
    ],
)
def test_the_lockdown_mode_is_in_brackets(text: str, mode: str | None) -> None:
    assert mode == module.active_lockdown(text)


def test_only_the_modules_own_messages_count() -> None:
    """The level, time and caller before a message are removed, and the message about a tainted kernel is skipped."""
    logged = [
        "<4>[    5.140900] oompolicy_hook: version magic 'a' should be 'b'",
        "<6>[   12.140901][  T123] oompolicy_hook: ready",
        "<6>oompolicy_hook: no time is logged",
        "<4>[    5.140902] oompolicy_hook: loading out-of-tree module taints kernel.",
        "<6>[    5.140903] eth0: link up, not oompolicy_hook: at all",
    ]

    assert ("version magic 'a' should be 'b'", "ready", "no time is logged") == module.logged_by(
        "oompolicy_hook", logged
    )


def test_a_missing_module_is_a_reason(tmp_path: Path) -> None:
    assert "does not exist" in (module.insert(tmp_path / "oompolicy_hook.ko") or "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (elf(b"", ".text"), "was built without BTF"),
        (b"\x7fELF", "was built without BTF"),
        (with_function("another_function"), "is another module"),
    ],
)
def test_an_unusable_module_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    """The kernel would load the module, and it would stay."""
    (tmp_path / "hook.ko").write_bytes(content)
    monkeypatch.setattr(module, "run", lambda *_: pytest.fail("insmod was run"))

    assert reason in (module.insert(tmp_path / "hook.ko") or "")


@pytest.mark.parametrize("content", [with_function("bpf_oom_evaluate_task"), elf(b"damaged"), b"\xfd7zXZ\0"])
def test_the_kernel_decides_about_any_other_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """A module with the hook is loaded, and so is one that the loader cannot read: a damaged or compressed one."""
    (tmp_path / "hook.ko").write_bytes(content)
    monkeypatch.setattr(module, "run", lambda *_: Result(0, "", ""))

    assert module.insert(tmp_path / "hook.ko") is None


@pytest.mark.parametrize(("running", "offered", "warned"), [("A", "B", True), ("A", "A", False), ("", "B", False)])
def test_another_loaded_version_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, running: str, offered: str, *, warned: bool
) -> None:
    monkeypatch.setattr(module, "running_version", lambda: running)
    monkeypatch.setattr(module, "source_version", lambda _: offered)

    assert warned is (module.version_warning(Path("hook.ko")) is not None)
