# SPDX-License-Identifier: Apache-2.0
"""The words by which others recognise what the agent says: docs/reference.md tells of each what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

Area = Literal[
    "manifests", "api", "deaf", "policies", "fields", "pods", "tree", "pins", "attach", "map", "room", "kernel",
    "drivers", "checkpoint", "spool", "output", "oomnode", "status", "watch",
]  # fmt: skip
"""What a problem is with; the log line begins with it."""


class Reason(StrEnum):
    """Why a condition of an OOMNode is as it is."""

    READY = "Ready"
    ATTACHED = "Attached"
    BYPASSED = "Bypassed"
    OBSERVE_ONLY = "ObserveOnly"
    NOT_ATTACHED = "NotAttached"
    UNKNOWN_BACKEND = "Unknown"
    SYNCED = "Synced"
    PODS_NOT_MAPPED = "PodsNotMapped"
    MAP_FULL = "MapFull"
    MAP_NOT_WRITTEN = "MapNotWritten"
    PINS_MISSING = "PinsMissing"
    CGROUPS_UNREADABLE = "CgroupsUnreadable"
    INVALID_MANIFESTS = "InvalidManifests"
    LAST_GOOD_STATE = "LastGoodState"
    NOT_SYNCED = "NotSynced"
    API_UNREACHABLE = "APIUnreachable"
    POLICIES_LEFT_OUT = "PoliciesLeftOut"
    UNKNOWN_FIELDS = "UnknownFields"


class EventReason(StrEnum):
    """Of the Events that the agent writes."""

    VICTIM_KILLED = "OOMVictimKilled"
    ANNOTATION_REFUSED = "OOMAnnotationRefused"
    POD_FIELD_UNREADABLE = "OOMPodFieldUnreadable"
