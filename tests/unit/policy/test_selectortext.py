# SPDX-License-Identifier: Apache-2.0
"""A label selector of the command line means what it means to kubectl."""

import pytest

from oompolicy.parse.selectortext import parse_selector
from oompolicy.resolve.matching import selects

WEB = {"app": "web", "env": "prod", "example.com/team": "a"}


@pytest.mark.parametrize(
    "text",
    [
        "app=web",
        "app == web",
        "app=web,env=prod",
        "app in (web, api), env notin (test,dev)",
        "app",
        "!legacy",
        "! legacy",
        "tier!=db",
        "app!=api",
        "example.com/team=a",
    ],
)
def test_a_pod_is_selected(text: str) -> None:
    """Spaces do not matter. A label that is not there is not equal to any value."""
    assert selects(parse_selector(text), WEB)


@pytest.mark.parametrize(
    "text", ["app=api", "app=web,env=test", "app notin (web)", "!app", "legacy", "app=", "app!=web"]
)
def test_a_pod_is_not_selected(text: str) -> None:
    """Each requirement of the selector must hold."""
    assert not selects(parse_selector(text), WEB)


@pytest.mark.parametrize("text", ["", ",", "app=web,", "app in web", "app=a=b", "a b", "app>1", "=web", "app in (a"])
def test_other_texts_are_refused(text: str) -> None:
    """The message shows forms that are read."""
    with pytest.raises(ValueError, match=r"is no requirement such as app=web|is not a valid label"):
        parse_selector(text)


@pytest.mark.parametrize(("text", "message"), [("-a=b", "label key"), ("a=-b", "label value"), ("a in (b,-c)", "'-c'")])
def test_keys_and_values_are_checked(text: str, message: str) -> None:
    """The API server would refuse the same."""
    with pytest.raises(ValueError, match=message):
        parse_selector(text)
