# SPDX-License-Identifier: Apache-2.0
"""Who a connection is to the real API server, and what apply does there."""

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
    """The files and variables that a pod of the operator has; the token's file."""
    host, _, port = cluster.url.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    token = tmp_path / "token"
    token.write_text(cluster.api.token(NAMESPACE, "oompolicy-operator"))
    module = "kubernetes.config.incluster_config"
    monkeypatch.setattr(f"{module}.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(f"{module}.SERVICE_CERT_FILENAME", str(cluster.ca))
    return token


def who(connection: Connection) -> str:
    """The user that the API server takes us for."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = connection.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    return str(answer["status"]["userInfo"]["username"])


def test_a_pod_is_its_service_account(service_account: Path) -> None:
    """By the token in its file."""
    assert service_account.exists()
    assert f"system:serviceaccount:{NAMESPACE}:oompolicy-operator" == who(connect(None))


def test_a_new_token_is_read_when_the_old_one_is_refused(service_account: Path) -> None:
    """At once, and not with the next minute's look at the file."""
    good = service_account.read_text()
    service_account.write_text("no.such.token")
    connection = connect(None)
    with pytest.raises(ApiError, match="401"):
        who(connection)
    service_account.write_text(good)

    assert who(connection).endswith(":oompolicy-operator")


def test_a_kubeconfig_is_its_certificate_or_its_token(cluster: Cluster, deployment: Deployment) -> None:
    """Whichever it has."""
    assert "admin" == who(connect(cluster.admin))
    assert who(connect(deployment.operator_kubeconfig())).endswith(":oompolicy-operator")


def test_apply_owns_what_it_says_and_no_more(api: Api) -> None:
    """Another manager's field is a conflict, unless it is taken by force."""
    api.create(policy("p"), fieldManager="somebody")
    path, other = location("OOMPolicy", "p"), {**policy("p"), "spec": {"priority": {"value": 1}}}
    with pytest.raises(ApiError) as caught:
        apply(api.connection, path, other, manager="us")
    assert (409, "Conflict") == (caught.value.status, caught.value.reason)
    assert 'conflict with "somebody"' in caught.value.message

    applied = apply(api.connection, path, other, manager="us", force=True)
    assert ({"value": 1}, 100) == (applied["spec"]["priority"], applied["spec"]["precedence"])
