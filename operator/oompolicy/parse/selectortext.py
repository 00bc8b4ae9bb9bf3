# SPDX-License-Identifier: Apache-2.0
"""Read a label selector in the form that kubectl takes: `app=web,tier!=db,env in (prod, test),!legacy`.

The grammar is in k8s.io/apimachinery/pkg/labels/selector.go. Policies have no `>` and `<`.
"""

import re
from typing import Final

from oompolicy.model import LabelSelector, Operator, Requirement
from oompolicy.parse import names

_COMMA: Final = re.compile(r",(?![^(]*\))")
_SET: Final = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL: Final = re.compile(r"(?P<key>[^=!\s]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^=!\s]*)")
_EXISTS: Final = re.compile(r"(?P<not>!?)\s*(?P<key>[^=!\s]+)")


def parse_selector(text: str) -> LabelSelector:
    """Return the selector. Raise `ValueError` with a sentence if the text is not one."""
    return LabelSelector(tuple(_requirement(term.strip()) for term in _COMMA.split(text)))


def _requirement(term: str) -> Requirement:
    found = _read(term)
    if found is None:
        raise ValueError(f"{term!r} is no requirement such as app=web, app!=web, app in (web, api), app or !app")
    messages = (names.label_key(found.key), *map(names.label_value, sorted(found.values)))
    for message in filter(None, messages):
        raise ValueError(message)
    return found


def _read(term: str) -> Requirement | None:
    if match := _SET.fullmatch(term):
        operator = Operator.IN if match["operator"] == "in" else Operator.NOT_IN
        return Requirement(match["key"], operator, frozenset(each.strip() for each in match["values"].split(",")))
    if match := _EQUAL.fullmatch(term):
        operator = Operator.NOT_IN if match["operator"] == "!=" else Operator.IN
        return Requirement(match["key"], operator, frozenset({match["value"]}))
    if match := _EXISTS.fullmatch(term):
        return Requirement(match["key"], Operator.DOES_NOT_EXIST if match["not"] else Operator.EXISTS)
    return None
