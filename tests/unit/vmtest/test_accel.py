# SPDX-License-Identifier: Apache-2.0
"""KVM is used only if the guest boots with it."""

from pathlib import Path

import pytest

from vmtest import accel
from vmtest.errors import HarnessError, LostVMError


class Probe:
    """A boot with KVM that succeeds or fails as the test decides, and counts its tries."""

    def __init__(self, error: HarnessError | None = None) -> None:
        self.error = error
        self.tries = 0

    def __call__(self) -> None:
        self.tries += 1
        if self.error:
            raise self.error


@pytest.fixture(autouse=True)
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a /dev/kvm that can be opened."""
    monkeypatch.delenv("OOMPOLICY_ACCEL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(accel, "BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setattr(accel, "KVM", tmp_path / "kvm")
    (tmp_path / "boot_id").write_text("one\n")
    (tmp_path / "kvm").touch()
    return tmp_path / "kvm"


@pytest.mark.parametrize("error", [None, LostVMError("hung", "")])
def test_the_result_is_kept_until_the_host_reboots(error: HarnessError | None, tmp_path: Path) -> None:
    probe = Probe(error)
    expected = "tcg" if error else "kvm"

    assert {expected} == {accel.choose("auto", "6.12", probe) for _ in range(3)}
    assert probe.tries == 1
    (tmp_path / "boot_id").write_text("two\n")
    assert accel.choose("auto", "6.12", probe) == expected
    assert probe.tries == 2


def test_each_kernel_of_the_guest_is_tried_separately() -> None:
    accel.choose("auto", "6.12", Probe())

    assert accel.choose("auto", "7.3", Probe(LostVMError("hung", ""))) == "tcg"


def test_without_a_device_kvm_is_not_tried(kvm: Path) -> None:
    kvm.unlink()
    probe = Probe()

    assert accel.choose("auto", "6.12", probe) == "tcg"
    assert probe.tries == 0


@pytest.mark.parametrize("wanted", ["kvm", "tcg"])
def test_the_environment_overrides_the_trial(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMPOLICY_ACCEL", wanted)
    probe = Probe()

    assert accel.choose("auto", "6.12", probe) == wanted
    assert probe.tries == 0


def test_an_option_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMPOLICY_ACCEL", "kvm")

    assert accel.choose("tcg", "6.12", Probe()) == "tcg"


def test_an_unknown_override_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMPOLICY_ACCEL", "xen")

    with pytest.raises(HarnessError, match="xen"):
        accel.choose("auto", "6.12", Probe())
