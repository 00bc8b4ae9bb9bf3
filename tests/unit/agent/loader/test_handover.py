# SPDX-License-Identifier: Apache-2.0
"""The files that the loader gives to the agent's user, also after an older loader gave them to another user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.loader.handover import give_folder
from oompolicy_agent.plumbing.paths import AGENT_UID

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = 65532


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the state folder of an agent that ran as user 65532, with links that it may have put there."""
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


def test_files_of_the_earlier_user_become_the_agents(state: Path) -> None:
    """After an upgrade that changes the user, the new agent can read the files of the old one."""
    give_folder(state, AGENT_UID, AGENT_UID, 0o750)
    names = ("", "checkpoint.json", "spool", "spool/0123456789abcdef.victim")

    assert {(AGENT_UID, AGENT_UID)} == {
        (found.st_uid, found.st_gid) for name in names if (found := (state / name).stat())
    }


def test_linked_files_keep_their_owner(state: Path) -> None:
    """An attacker in the agent could have made links to files that the agent may not write."""
    give_folder(state, AGENT_UID, AGENT_UID, 0o750)

    assert 0 == (state / "roots").stat().st_uid
    assert BEFORE == (state / "second").stat().st_uid
    assert 0 == (state.parent / "shadow").stat().st_uid


def test_a_folder_of_root_is_given_without_its_content(state: Path) -> None:
    """Content of a folder that root owned keeps its owner, for example the loader's own report."""
    os.chown(state, 0, 0)
    give_folder(state, AGENT_UID, AGENT_UID, 0o755)

    assert AGENT_UID == state.stat().st_uid
    assert BEFORE == (state / "checkpoint.json").stat().st_uid
