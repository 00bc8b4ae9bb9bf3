# SPDX-License-Identifier: Apache-2.0
"""The program finds the kubeconfig that kubectl uses, and comes back when a server is busy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import click
import pytest

from oompolicy.cli.cluster import Cluster, connected, kubeconfig_of
from oompolicy.kube.errors import ApiError

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.kube.connection import Connection

BUSY = ApiError(429, "TooManyRequests", "storage is (re)initializing", retry_after=1.0)


class Server:
    """Answers a request with the next of some answers."""

    def __init__(self, *answers: ApiError | dict[str, Any]) -> None:
        self._answers = list(answers)
        self.waits: list[float] = []

    def cluster(self) -> Cluster:
        return Cluster(cast("Connection", self), "default", self.waits.append)

    def page(self, path: str, **_: object) -> dict[str, Any]:
        return self.request("GET", path)

    def request(self, _: str, __: str, **___: object) -> dict[str, Any]:
        answer = self._answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer


def test_a_busy_server_is_asked_again_after_the_time_that_it_gives() -> None:
    """kubectl does the same. A time of minutes is shortened, because somebody waits for the answer."""
    later = ApiError(503, "ServiceUnavailable", "busy", retry_after=300.0)
    server = Server(BUSY, later, {"items": [{"a": 1}]})

    assert [{"a": 1}] == server.cluster().objects("/a")
    assert [1.0, 5.0] == server.waits


def test_a_server_that_stays_busy_is_an_error() -> None:
    """The message is the server's."""
    server = Server(*[BUSY] * 10)

    with pytest.raises(click.ClickException, match=r"^/a cannot be read: storage is \(re\)initializing$"):
        server.cluster().objects("/a")
    assert 9 == len(server.waits)


def test_other_errors_are_not_asked_again() -> None:
    """A server that gives no time has decided."""
    server = Server(ApiError(400, "BadRequest", "no such field"))

    with pytest.raises(click.ClickException, match="no such field"):
        server.cluster().objects("/a")
    assert [] == server.waits


def test_an_object_that_does_not_exist_is_none() -> None:
    """A pod may be gone, and a namespace too."""
    assert Server(ApiError(404, "NotFound", "gone")).cluster().get("/a") is None


def test_a_collection_that_is_forbidden_is_empty_with_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    """A line on standard error names the collection."""
    server = Server(ApiError(403, "Forbidden", "you may not"))

    assert [] == server.cluster().allowed_objects("/a", without="Nothing is shown")
    assert "/a cannot be read: you may not. Nothing is shown\n" == capsys.readouterr().err


def test_the_kubeconfig_is_that_of_kubectl(tmp_path: Path) -> None:
    """KUBECONFIG may be a list, of which files may be missing. Without it, there is a default."""
    first, second, missing = (tmp_path / name for name in ("first", "second", "missing"))
    first.touch()
    second.touch()
    listed = os.pathsep.join(map(str, (first, missing, second)))

    assert f"{first}{os.pathsep}{second}" == str(kubeconfig_of({"KUBECONFIG": listed}, tmp_path))
    assert missing == kubeconfig_of({"KUBECONFIG": str(missing)}, tmp_path)
    assert kubeconfig_of({}, tmp_path) is None
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config").touch()
    assert tmp_path / ".kube/config" == kubeconfig_of({"KUBECONFIG": ""}, tmp_path)


def test_without_a_kubeconfig_the_message_says_how_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig that does not exist is named."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(click.ClickException, match="no kubeconfig: set KUBECONFIG or --kubeconfig"):
        connected(None, None)
    with pytest.raises(click.ClickException, match=r"the kubeconfig .*missing does not exist"):
        connected(tmp_path / "missing", None)


def test_the_settings_are_read_if_they_exist() -> None:
    missing = ApiError(404, "NotFound", 'oomsettings.oompolicy.dev "cluster" not found')

    assert [{"kind": "OOMSettings"}] == Server({"kind": "OOMSettings"}).cluster().settings()
    assert [] == Server(missing).cluster().settings()


def test_settings_that_are_forbidden_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """A user without the right may see other priorities than the node has."""
    forbidden = ApiError(403, "Forbidden", "oomsettings is forbidden")

    assert [] == Server(forbidden).cluster().settings()
    expected = (
        "/apis/oompolicy.dev/v1alpha1/oomsettings/cluster cannot be read: oomsettings is forbidden."
        " Pods without a policy are shown with the built-in defaults\n"
    )
    assert expected == capsys.readouterr().err
