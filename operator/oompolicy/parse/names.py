# SPDX-License-Identifier: Apache-2.0
"""Check names, label keys and label values by the rules of Kubernetes.

The rules are in k8s.io/apimachinery/pkg/util/validation. Each function returns a message, or `None` for valid text.
"""

import re

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(\.{_DNS_LABEL.pattern})*")


def dns_label(text: str) -> str | None:
    """Check the name of a container."""
    if len(text) <= 63 and _DNS_LABEL.fullmatch(text):
        return None
    return f"{text!r} must be 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends"


def dns_subdomain(text: str) -> str | None:
    """Check the name of an OOMPolicy or of a PriorityClass."""
    if len(text) <= 253 and _DNS_SUBDOMAIN.fullmatch(text):
        return None
    return (
        f"{text!r} must be 1 to 253 lower-case letters, digits, '-' and '.',"
        " with a letter or digit at both ends and on both sides of each '.'"
    )


def label_value(text: str) -> str | None:
    """Check the value of a label. It may be empty."""
    if len(text) <= 63 and _LABEL_VALUE.fullmatch(text):
        return None
    return (
        f"{text!r} is not a valid label value: at most 63 letters, digits, '-', '_' and '.',"
        " with a letter or digit at both ends"
    )


def label_key(text: str) -> str | None:
    """Check the key of a label, with or without a prefix."""
    prefix, slash, name = text.rpartition("/")
    if slash and dns_subdomain(prefix):
        return f"{text!r} is not a valid label key: the part before the '/' must be a DNS name"
    if not name or label_value(name):
        return f"{text!r} is not a valid label key: a name has 1 to 63 letters, digits, '-', '_' and '.'"
    return None
