# SPDX-License-Identifier: Apache-2.0
"""Every answer becomes an error, even a proxy's, so no answer ends a thread."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.kube.errors import ApiError, from_answer, from_status

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = dict.fromkeys(("code", "reason", "message", "kind"), ANYTHING)
DETAILS = st.dictionaries(st.sampled_from(["retryAfterSeconds", "causes", "name"]), ANYTHING)


@given(st.fixed_dictionaries({}, optional={**FIELDS, "details": ANYTHING | DETAILS}) | ANYTHING)
def test_any_object_is_an_error(status: Any) -> None:  # noqa: ANN401
    """The fields of the error have their declared types."""
    error = from_status(status)

    assert_well_typed(error)


@given(st.binary() | ANYTHING.map(lambda found: json.dumps({"kind": "Status", "details": found}).encode()))
def test_any_answer_is_an_error(body: bytes) -> None:
    """The HTTP status is the error's status if the body has no code."""
    error = from_answer(503, "Service Unavailable", {}, body)

    assert_well_typed(error)
    assert 503 == error.status


def assert_well_typed(error: ApiError) -> None:
    assert isinstance(error.status, int)
    assert 100 <= error.status <= 999
    assert all(isinstance(each, str) for each in (error.reason, error.message, *error.causes))
    assert error.retry_after is None or 0.0 < error.retry_after <= 300.0
    str(error).encode()


@pytest.mark.parametrize(
    "details",
    [[1], {"retryAfterSeconds": "soon"}, {"causes": ["x"]}, {"causes": 5}, {"causes": [{"reason": 1}]}, "x"],
    ids=str,
)
def test_a_field_of_the_wrong_type_counts_as_missing(details: object) -> None:
    """The other fields are used."""
    status = {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "later", "details": details}
    error = from_status(status)

    assert "429 TooManyRequests: later" == str(error)
    assert error.retry_after is None
    assert not any(error.causes)


@pytest.mark.parametrize("seconds", [86_400, 10**400, 9.3e9], ids=["a day", "for ever", "beyond a timer"])
def test_a_wait_is_limited_to_five_minutes(seconds: float) -> None:
    """The header and the body are limited. A proxy's maintenance page may ask for a day."""
    in_body = from_status({"kind": "Status", "details": {"retryAfterSeconds": seconds}})
    in_header = from_answer(503, "Unavailable", {"Retry-After": str(int(seconds))}, b"<html>")

    assert 300.0 == in_body.retry_after
    assert 300.0 == in_header.retry_after


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5", None, [5]])
def test_an_invalid_wait_is_none(seconds: object) -> None:
    """The client's own backoff then applies."""
    assert from_status({"details": {"retryAfterSeconds": seconds}}).retry_after is None
