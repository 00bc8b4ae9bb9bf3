# SPDX-License-Identifier: Apache-2.0
"""Where raw objects become records. Nothing behind this border sees a raw mapping."""

from oompolicy.podspec import parse_namespace, parse_pod, read_pod
from oompolicy.policyspec import parse_policy
from oompolicy.problems import InvalidObject, Problem

__all__ = ["InvalidObject", "Problem", "parse_namespace", "parse_pod", "parse_policy", "read_pod"]
