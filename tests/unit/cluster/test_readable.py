# SPDX-License-Identifier: Apache-2.0
"""The rule of the hostile objects' test tells messages for people from others."""

from __future__ import annotations

import pytest

from tests.cluster.agent.hostile.readable import LONGEST, flaw, flaw_of_refusal, is_read
from tests.cluster.agent.hostile.values import number, twice, written

FIELDS = ("spec.priority.value",)
UNCHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


@pytest.mark.parametrize(
    "message",
    [
        "spec.priority.value: Invalid value: 1001: must be at most 1000",
        'spec.priority: Invalid value: "string": spec.priority in body must be of type object: "string"',
        f"[spec.priority.value: Required value, {UNCHECKED}]",
        'strict decoding error: duplicate field "spec.priority.value"',
    ],
)
def test_a_refusal_that_names_the_field_is_readable(message: str) -> None:
    """The field can be a parent of the wrong one, and Kubernetes may add its own sentence."""
    assert "" == flaw_of_refusal(message, FIELDS, "{}")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("x" * (LONGEST + 7), f"it has {LONGEST + 7} characters"),
        ("\u202espec.priority.value: Invalid value", "it has the character '\\u202e'"),
        ("<nil>: Invalid value: must be cluster", "it shows the internals '<nil>'"),
        ("Traceback (most recent call last)", "it shows the internals 'Traceback'"),
        ("spec.priority.value: is odd", "it does not say what is wrong"),
        ("spec.precedence: Invalid value: 5", "it names none of spec.priority.value"),
        (UNCHECKED, "it is empty"),
    ],
)
def test_another_refusal_is_not_readable(message: str, expected: str) -> None:
    """The reason says what to change in the message."""
    assert expected == flaw_of_refusal(message, FIELDS, "{}")


def test_a_refusal_may_repeat_characters_of_its_request() -> None:
    """The author of the request sees them, and nobody else."""
    assert "" == flaw_of_refusal('unknown field "spec.priority.\0"', FIELDS, '{"\\u0000": 1}')
    assert "" != flaw_of_refusal('unknown field "spec.priority.\0"', FIELDS, "{}")
    assert "" == flaw_of_refusal('spec.priority.value: Invalid value: "%!d"', FIELDS, '{"%!d": 1}')
    assert "" != flaw('a condition with "\0"')


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e400", "0300", "+5", "[" * 100_000])
def test_a_body_that_kubernetes_cannot_read_has_no_fields(text: str) -> None:
    """No refusal can name a field of such a body."""
    assert not is_read(written({"value": number(text)}))
    assert is_read(b'{"value": 1e2}')


def test_a_key_can_stand_twice_in_a_body() -> None:
    """JSON libraries write no such object."""
    assert b'{"value": 1, "value": 2}' == written({"value": 1, twice("value"): 2})
