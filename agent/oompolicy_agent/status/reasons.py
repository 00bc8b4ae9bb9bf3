# SPDX-License-Identifier: Apache-2.0
"""The words by which people and programs recognise a state of the node. docs/reference.md explains each of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

Scope = Literal["Node", "Kubepods", "Pod", "Container", "Other", "Unknown"]
"""The part of the node that ran out of memory, in reports, status and metrics."""


class Comparison(StrEnum):
    """The result of comparing the choice of the kernel with the choice of the policy."""

    SAME = "Same"
    DIFFERENT = "Different"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """The reason of a condition of an OOMNode, or of a problem in status.json and the log."""

    READY = "Ready"
    ATTACHED = "Attached"
    BYPASSED = "Bypassed"
    OBSERVE_ONLY = "ObserveOnly"
    NOT_ATTACHED = "NotAttached"
    UNKNOWN_BACKEND = "Unknown"
    SCORES_IN_FORCE = "ScoresInForce"
    SCORES_PENDING = "ScoresPending"
    SCORES_NOT_WRITTEN = "ScoresNotWritten"
    ADJUSTER_SILENT = "AdjusterSilent"
    ORDER_CANNOT_HOLD = "OrderCannotHold"
    ORDER_HOLDS = "OrderHolds"
    MARGIN_SMALL = "MarginSmall"
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
    KILL_SCOPE_NOT_APPLIED = "KillScopeNotApplied"
    KERNEL_LOG_UNREADABLE = "KernelLogUnreadable"
    AUDIT = "Audit"
    OFF = "Off"
    # The loader's results, see kernel/proof.py.
    PROVED = "Proved"
    WRONG_VICTIM = "WrongVictim"
    NO_VICTIM = "NoVictim"
    PROOF_NOT_POSSIBLE = "ProofNotPossible"
    PROOF_TURNED_OFF = "ProofTurnedOff"
    NOT_PROVED = "NotProved"
    TOO_MANY_KILLS = "TooManyKills"
    WITHIN_LIMIT = "WithinLimit"
    # Only problems have these.
    REQUEST_NOT_WRITTEN = "RequestNotWritten"
    MODE_NOT_SET = "ModeNotSet"
    SETTINGS_NOT_SYNCED = "SettingsNotSynced"
    POD_FIELDS_UNREADABLE = "PodFieldsUnreadable"
    CGROUP_DRIVERS_DIFFER = "CgroupDriversDiffer"
    EVENTS_NOT_DELIVERED = "EventsNotDelivered"
    OOMNODE_NOT_WRITTEN = "OOMNodeNotWritten"
    SPOOL_NOT_WRITTEN = "SpoolNotWritten"
    CHECKPOINT_NOT_WRITTEN = "CheckpointNotWritten"
    STATUS_NOT_WRITTEN = "StatusNotWritten"
    FOLDER_NOT_WATCHED = "FolderNotWatched"


PROBLEMS: Final = frozenset(Reason) - {
    Reason.READY,
    Reason.ATTACHED,
    Reason.OBSERVE_ONLY,
    Reason.UNKNOWN_BACKEND,
    Reason.SCORES_IN_FORCE,
    Reason.SCORES_PENDING,
    Reason.ORDER_CANNOT_HOLD,
    Reason.ORDER_HOLDS,
    Reason.MARGIN_SMALL,
    Reason.SYNCED,
    Reason.PODS_NOT_MAPPED,
    Reason.LAST_GOOD_STATE,
    Reason.AUDIT,
    Reason.OFF,
    Reason.PROVED,
    Reason.WRONG_VICTIM,
    Reason.NO_VICTIM,
    Reason.PROOF_NOT_POSSIBLE,
    Reason.PROOF_TURNED_OFF,
    Reason.NOT_PROVED,
    Reason.TOO_MANY_KILLS,
    Reason.WITHIN_LIMIT,
}
"""The reasons that a problem can have. The others are reasons of conditions only."""


class EventReason(StrEnum):
    """The reason of an Event that the agent writes."""

    VICTIM_KILLED = "OOMVictimKilled"
    ANNOTATION_REFUSED = "OOMAnnotationRefused"
    POD_FIELD_UNREADABLE = "OOMPodFieldUnreadable"
    CIRCUIT_OPEN = "OOMPolicyCircuitOpen"
