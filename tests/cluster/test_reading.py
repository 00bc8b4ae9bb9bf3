# SPDX-License-Identifier: Apache-2.0
"""Files and quantities are read as Kubernetes reads them. The exceptions are listed here, with their reasons."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction

import pytest
import yaml

from oompolicy.manifests.dialect import parse_documents
from oompolicy.parse.quantity import MAX_QUANTITY, read_quantity
from tests.cluster.needed import ensured
from tests.cluster.reading import PROGRAM, Readings, read_by_kubernetes
from tests.cluster.readings import quantities, texts

REFUSED = {
    r"is given twice": "kubectl takes one of the values, and ignores the other",
    r"the key .* must be a string; put it in quotes": "kubectl writes a float otherwise: the key 1.10 becomes 1.1",
    r"a key must be a string": "a key with a tag, or a key that is no scalar, which no object has",
    r"constructor for the tag|expected a scalar node": "kubectl ignores most tags, and no object has any",
    r"did not find expected <document start>": "kubectl drops the text after the first document, without a message",
    r"mapping values are not allowed|did not find expected whitespace": "the same, and a tag that ends nowhere",
    r"did not find expected node content": "a single '...', before which libyaml expects a document",
    r"found unexpected ':'": "[a:] is a list of the string 'a:' to kubectl, but libyaml requires quotes",
    r"is nested too deeply": "more than 200 levels. libyaml would end the process with 10,000",
}
"""The error for a text that kubectl reads -> the reason to refuse it."""

ACCEPTED = {
    r"\\/": "JSON's escape \\/ within YAML, which libyaml knows and kubectl does not",
    r'^\{("a":1|"b": \[1,2\])?\}\s?.{1,3}$': "kubectl gives up on YAML of less than four bytes behind a JSON object",
}
"""The pattern of a text that kubectl refuses -> the reason to read it. No such text has another meaning to kubectl."""


@pytest.fixture(scope="module")
def kubernetes() -> Readings:
    """Return the answers. Without the tools to build the program, a developer's tests are skipped, and CI fails."""
    ensured(PROGRAM.ensure, "nothing to compare with")
    return read_by_kubernetes(texts(), [json.dumps(text, ensure_ascii=False) for text in quantities()])


def read_by_oompolicy(text: str) -> object:
    """Return the documents, or the message that refuses them."""
    try:
        return parse_documents(text)
    except (yaml.YAMLError, ValueError) as error:
        return str(error)


def equal_as_json(first: object, second: object) -> bool:
    """Compare values as JSON, because True equals 1 in Python. Kubernetes reads an integer above 64 bits as a float."""
    return json.dumps(first, sort_keys=True) == json.dumps(
        json.loads(json.dumps(second), parse_int=_number), sort_keys=True
    )


def _number(digits: str) -> float:
    return int(digits) if -(2**63) <= int(digits) < 2**63 else float(digits)


def test_a_text_is_read_as_kubectl_reads_it_or_the_difference_is_listed(kubernetes: Readings) -> None:
    """Each text is read as kubectl reads it, or matches an entry of the lists. Each entry is needed."""
    needed = set()
    for text, theirs in zip(texts(), kubernetes.texts, strict=True):
        said = read_by_oompolicy(text)
        if (isinstance(said, str) and theirs is None) or (theirs is not None and equal_as_json(said, theirs)):
            continue
        reasons, where = (REFUSED, said) if isinstance(said, str) else (ACCEPTED, text)
        assert isinstance(said, str) or theirs is None, f"{text!r} is {said} to us, {theirs} to kubectl"
        listed = [pattern for pattern in reasons if re.search(pattern, str(where))]
        assert listed, f"{text!r} is {said} to us, {theirs} to kubectl"
        needed.update(listed)

    assert {*REFUSED, *ACCEPTED} == needed


def test_a_quantity_is_read_as_kubernetes_reads_it(kubernetes: Readings) -> None:
    """A quantity is read with the space around it. The limit is 2^63-1, the largest request of bytes."""
    differing = {}
    for text, theirs in zip(quantities(), kubernetes.quantities, strict=True):
        bounded = None if theirs is None else Fraction(max(Decimal(-MAX_QUANTITY), min(Decimal(MAX_QUANTITY), theirs)))
        try:
            said = read_quantity(text)
        except ValueError:
            said = None
        if said != bounded:
            differing[text] = said, theirs

    assert {} == differing
