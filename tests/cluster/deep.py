# SPDX-License-Identifier: Apache-2.0
"""Create a pod with as many levels of JSON as the API server accepts, which Python's JSON library does not write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster.cluster import client
from tests.cluster.objects import collection

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster

LEVELS = 9_900
"""Kubernetes reads at most 10,000 levels."""


def create_deep(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Create a pod whose `metadata.managedFields` are deep. Every user who may create pods may write this field."""
    manager = {"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "DEEP"}
    metadata = {**pod["metadata"], "managedFields": [{**manager, "time": "2026-11-25T12:00:00Z"}]}
    deep = '{"f:a":' * LEVELS + "{}" + "}" * LEVELS
    body = json.dumps({**pod, "metadata": metadata}).replace('"DEEP"', deep)
    http = client(cluster.pki.ca, cluster.pki.admin)
    url = cluster.url + collection("Pod", metadata["namespace"])
    answer = http.request("POST", url, body=body, headers={"Content-Type": "application/json"})
    assert 201 == answer.status, answer.data[:1_000]
    assert answer.data.count(b'"f:a"') == LEVELS
