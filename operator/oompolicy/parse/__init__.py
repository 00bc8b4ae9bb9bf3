# SPDX-License-Identifier: Apache-2.0
"""Raw objects become records here. Nothing behind this border sees a raw mapping.

Here belong the checks of every field, and the problem that each refused field becomes.
Here does not belong how a manifest is read from a file: that is `manifests`.
"""

from oompolicy.parse.pod import parse_namespace, parse_pod, read_pod
from oompolicy.parse.policy import parse_policy
from oompolicy.parse.problems import InvalidObject, Problem
from oompolicy.parse.settings import parse_settings

__all__ = ["InvalidObject", "Problem", "parse_namespace", "parse_pod", "parse_policy", "parse_settings", "read_pod"]
