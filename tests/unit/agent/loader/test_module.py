# SPDX-License-Identifier: Apache-2.0
"""What the loader says of a module that the kernel does not take."""

from pathlib import Path

import pytest

from oompolicy_agent.loader import kernellog, module
from oompolicy_agent.loader.command import Result
from tests.unit.agent.kernel.test_btf import elf

NONE, INTEGRITY = "", "integrity"


def insmod(reason: str) -> str:
    return f"insmod: ERROR: could not insert module /m/oompolicy_hook.ko: {reason}\n"


def test_the_kernels_last_words_are_quoted() -> None:
    said = ("ready", "cannot hook oom_evaluate_task(): it was inlined")

    sentence = module.refusal("oompolicy_hook.ko", insmod("No such file or directory"), said, NONE)

    assert sentence == (
        "the kernel refused oompolicy_hook.ko: No such file or directory; "
        "the kernel says: cannot hook oom_evaluate_task(): it was inlined"
    )


def test_a_missing_signature_names_secure_boot() -> None:
    sentence = module.refusal("hook.ko", insmod("Key was rejected by service"), (), INTEGRITY)

    assert "secure boot" in sentence


@pytest.mark.parametrize(("mode", "words"), [(INTEGRITY, "locked down (integrity)"), (NONE, "CAP_SYS_MODULE")])
def test_not_permitted_names_lockdown_or_the_capability(mode: str, words: str) -> None:
    assert words in module.refusal("hook.ko", insmod("Operation not permitted"), (), mode)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("[none] integrity confidentiality\n", ""),
        ("none [integrity] confidentiality\n", "integrity"),
        ("none integrity [confidentiality]\n", "confidentiality"),
        ("", ""),
    ],
)
def test_the_lockdown_mode_stands_in_brackets(text: str, mode: str) -> None:
    assert mode == module.active_lockdown(text)


def test_only_the_modules_own_words_count() -> None:
    """Whatever the kernel puts before them, and not that it is tainted."""
    logged = [
        "<4>[    5.140900] oompolicy_hook: version magic 'a' should be 'b'",
        "<6>[   12.140901][  T123] oompolicy_hook: ready",
        "<6>oompolicy_hook: no time is logged",
        "<4>[    5.140902] oompolicy_hook: loading out-of-tree module taints kernel.",
        "<6>[    5.140903] eth0: link up, not oompolicy_hook: at all",
    ]

    assert ("version magic 'a' should be 'b'", "ready", "no time is logged") == kernellog.said("oompolicy_hook", logged)


def test_a_module_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    assert "does not exist" in (module.insert(tmp_path / "oompolicy_hook.ko") or "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (elf(b"", ".text"), "was built without BTF"),
        (b"\x7fELF", "was built without BTF"),
        (elf(b"\0another_function\0"), "is another module"),
    ],
)
def test_a_module_that_could_not_be_used_does_not_go_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    """The kernel would take it, and it would stay."""
    (tmp_path / "hook.ko").write_bytes(content)
    monkeypatch.setattr(module, "run", lambda *_: pytest.fail("insmod was run"))

    assert reason in (module.insert(tmp_path / "hook.ko") or "")


@pytest.mark.parametrize("content", [elf(b"\0bpf_oom_evaluate_task\0"), b"\xfd7zXZ\0"])
def test_any_other_module_is_the_kernels_to_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Nothing can be seen in a compressed one."""
    (tmp_path / "hook.ko").write_bytes(content)
    monkeypatch.setattr(module, "run", lambda *_: Result(0, "", ""))

    assert module.insert(tmp_path / "hook.ko") is None


@pytest.mark.parametrize(("running", "offered", "warned"), [("A", "B", True), ("A", "A", False), ("", "B", False)])
def test_another_version_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, running: str, offered: str, *, warned: bool
) -> None:
    monkeypatch.setattr(module, "running_version", lambda: running)
    monkeypatch.setattr(module, "source_version", lambda _: offered)

    assert warned is (module.version_warning(Path("hook.ko")) is not None)
