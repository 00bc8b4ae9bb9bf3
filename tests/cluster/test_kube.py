# SPDX-License-Identifier: Apache-2.0
"""A connection has the right user at a real API server, and apply owns the right fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy.kube.connection import apply, connect
from oompolicy.kube.errors import ApiError
from tests.cluster.deployment import NAMESPACE
from tests.cluster.objects import location
from tests.cluster.test_operator_policies import policy

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.kube.connection import Connection
    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.deployment import Deployment


@pytest.fixture
def service_account(
    deployment: Deployment,  # noqa: ARG001 - has the account
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Make the files and variables of a pod of the operator, and return the file of the token."""
    host, _, port = cluster.url.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    token = tmp_path / "token"
    token.write_text(cluster.api.token(NAMESPACE, "oompolicy-operator"))
    module = "kubernetes.config.incluster_config"
    monkeypatch.setattr(f"{module}.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(f"{module}.SERVICE_CERT_FILENAME", str(cluster.ca))
    return token


def user_of(connection: Connection) -> str:
    """Return the user name that the API server has for a connection."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = connection.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    return str(answer["status"]["userInfo"]["username"])


def test_a_connection_in_a_pod_has_its_service_account(service_account: Path) -> None:
    """The connection uses the token in the file."""
    assert service_account.exists()
    assert f"system:serviceaccount:{NAMESPACE}:oompolicy-operator" == user_of(connect(None))


def test_a_new_token_is_read_when_the_old_one_is_refused(service_account: Path) -> None:
    """The file is read at once, and not only at the next of the reads that happen every minute."""
    good = service_account.read_text()
    service_account.write_text("no.such.token")
    connection = connect(None)
    with pytest.raises(ApiError, match="401"):
        user_of(connection)
    service_account.write_text(good)

    assert user_of(connection).endswith(":oompolicy-operator")


def test_a_connection_uses_the_certificate_or_the_token_of_its_kubeconfig(
    cluster: Cluster, deployment: Deployment
) -> None:
    assert "admin" == user_of(connect(cluster.admin))
    assert user_of(connect(deployment.operator_kubeconfig())).endswith(":oompolicy-operator")


def test_apply_owns_only_the_fields_that_it_sends(api: Api) -> None:
    """A field of another manager is a conflict, unless apply takes it by force."""
    api.create(policy("p"), fieldManager="somebody")
    path, other = location("OOMPolicy", "p"), {**policy("p"), "spec": {"priority": {"value": 1}}}
    with pytest.raises(ApiError) as caught:
        apply(api.connection, path, other, manager="us")
    assert (409, "Conflict") == (caught.value.status, caught.value.reason)
    assert 'conflict with "somebody"' in caught.value.message

    applied = apply(api.connection, path, other, manager="us", force=True)
    assert ({"value": 1}, 100) == (applied["spec"]["priority"], applied["spec"]["precedence"])
