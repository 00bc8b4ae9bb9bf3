# SPDX-License-Identifier: Apache-2.0
"""What the loader gives to the agent's user, also where an older one gave it to another user before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.loader.handover import give_folder
from oompolicy_agent.settings import AGENT_UID

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = 65532


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of an agent that was user 65532, with what else it may have put there."""
    if os.geteuid():
        pytest.skip("only root gives files away")
    folder = tmp_path / "state"
    (folder / "spool").mkdir(parents=True)
    for name in ("checkpoint.json", "spool/0123456789abcdef.victim"):
        (folder / name).write_text("x")
    (tmp_path / "shadow").write_text("root's")
    (tmp_path / "others").write_text("of the same user, elsewhere")
    (folder / "link").symlink_to(tmp_path / "shadow")
    os.link(tmp_path / "shadow", folder / "roots")
    os.link(tmp_path / "others", folder / "second")
    for path in (folder, *folder.rglob("*"), tmp_path / "others"):
        if path.name not in ("roots", "link"):
            os.chown(path, BEFORE, BEFORE, follow_symlinks=False)
    os.chown(folder / "link", BEFORE, BEFORE, follow_symlinks=False)
    return folder


def test_what_was_another_users_is_the_agents(state: Path) -> None:
    """An upgrade changes the user: the new agent reads what the old one left."""
    give_folder(state, AGENT_UID, AGENT_UID, 0o750)
    names = ("", "checkpoint.json", "spool", "spool/0123456789abcdef.victim")

    assert {(AGENT_UID, AGENT_UID)} == {
        (found.st_uid, found.st_gid) for name in names if (found := (state / name).stat())
    }


def test_what_is_not_the_agents_alone_stays(state: Path) -> None:
    """An agent that was taken over could have linked to files that it may not write."""
    give_folder(state, AGENT_UID, AGENT_UID, 0o750)

    assert (0, BEFORE) == ((state / "roots").stat().st_uid, (state / "second").stat().st_uid)
    assert 0 == (state.parent / "shadow").stat().st_uid


def test_what_root_has_in_a_new_folder_stays_roots(state: Path) -> None:
    """The loader's own report, say."""
    os.chown(state, 0, 0)
    give_folder(state, AGENT_UID, AGENT_UID, 0o755)

    assert (AGENT_UID, BEFORE) == (state.stat().st_uid, (state / "checkpoint.json").stat().st_uid)
