# SPDX-License-Identifier: Apache-2.0
"""The chart creates OOMSettings once. After that the object belongs to the admin, and Helm does not change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from oompolicy.model import Defaults
from oompolicy.oomsettings import Mode
from oompolicy.parse import parse_settings
from tests.cluster.chart.helm import CHART
from tests.cluster.chart.scenarios import named
from tests.cluster.errors import HelmError
from tests.cluster.test_settings_definition import DEFAULTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.chart.helm import Helm
    from tests.cluster.chart.release import Release

ADMINS = {
    "suspend": True,
    "mode": "Audit",
    "nodeModes": [{"nodeSelector": {"matchLabels": {"pool": "canary"}}, "mode": "Off"}],
    "discloseOtherNamespaces": True,
    "tieBreak": "MostOverRequest",
    "minimumVictimMemory": "64Mi",
    "maxKillsPerMinute": 30,
    "hostPriority": 900,
    "defaults": {
        "nodeCritical": 990,
        "clusterCritical": 940,
        "guaranteed": 700,
        "burstable": 600,
        "bestEffort": 100,
    },
}


def settings(release: Release) -> dict[str, Any]:
    found: dict[str, Any] = release.cluster.api.get("OOMSettings", "cluster")
    return found


def upgrade(release: Release, *words: str) -> None:
    release("upgrade", release.NAME, str(CHART), *words)


def test_the_admins_changes_outlive_upgrades_rollback_and_reinstallation(release: Release) -> None:
    """Each command runs with values that differ from the admin's."""
    assert {"mode": "Audit", **DEFAULTS} == settings(release)["spec"]
    release.cluster.api.patch("OOMSettings", "cluster", {"spec": ADMINS})
    uid = settings(release)["metadata"]["uid"]
    values = ("--set", "settings.mode=Enforce", "--set", "test.deadlineSeconds=2")
    for words in (values, ("--reuse-values",), ("--reset-then-reuse-values",)):
        upgrade(release, *words)
        assert ADMINS == settings(release)["spec"], words
    release("rollback", release.NAME, "1")
    assert ADMINS == settings(release)["spec"]
    upgrade(release, *values)
    release.uninstall()
    assert ADMINS == settings(release)["spec"]
    release("install", release.NAME, str(CHART), *values)

    assert (ADMINS, uid) == (settings(release)["spec"], settings(release)["metadata"]["uid"])


def test_settings_exist_before_the_first_agent(helm: Helm) -> None:
    """Helm creates hooks of this kind first. Without settings a node keeps the mode that it began with."""
    annotations = named(helm.template(), "OOMSettings", "cluster")["metadata"]["annotations"]

    # Without a delete policy, Helm would delete an object that exists.
    assert {"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "hook-failed"} == annotations


def test_helm_does_not_own_the_kill_switch(release: Release) -> None:
    """No field manager of the chart owns `suspend`, so nothing that Helm applies can reset it."""
    fields = [each["fieldsV1"].get("f:spec", {}) for each in settings(release)["metadata"]["managedFields"]]

    assert any("f:mode" in each for each in fields)
    assert not any("f:suspend" in each for each in fields)


def test_an_upgrade_from_a_release_without_settings_continues_to_enforce(release: Release) -> None:
    """The new object changes no mode. The values of the chart for a new installation do not count."""
    release.cluster.api.delete("OOMSettings", "cluster")
    values = "settings.mode=Audit,settings.discloseOtherNamespaces=true,settings.hostPriority=900"
    upgrade(release, "--set", values)

    expected = {"mode": "Enforce", **DEFAULTS, "discloseOtherNamespaces": True, "hostPriority": 900}
    assert expected == settings(release)["spec"]


def test_an_upgrade_with_the_values_of_a_release_without_settings_works(release: Release, tmp_path: Path) -> None:
    """`--reuse-values` keeps values that have no `settings`."""
    release.cluster.api.delete("OOMSettings", "cluster")
    older = tmp_path / "values.yaml"
    older.write_text(yaml.safe_dump({"settings": None}))
    upgrade(release, "--reuse-values", "--values", str(older))

    assert "Enforce" == settings(release)["spec"]["mode"]


def test_a_new_node_begins_with_the_mode_of_the_values(helm: Helm) -> None:
    """The default lets no policy kill a process before an admin has changed the mode."""
    for flags, mode in (((), "Audit"), (("--set", "settings.mode=Enforce"), "Enforce")):
        agents = named(helm.template(*flags), "DaemonSet", "oompolicy-agent")
        loaders = [each for each in agents["spec"]["template"]["spec"]["initContainers"] if each["name"] == "loader"]
        assert [True] == [f"--mode={mode}" in each["args"] for each in loaders]


def test_the_values_become_the_settings_of_a_new_installation(helm: Helm) -> None:
    """The mode Off stays a string, although YAML reads it as a boolean without quotes."""
    node_modes = '[{"nodeSelector": {"matchLabels": {"pool": "canary"}}, "mode": "Enforce"}]'
    flags = ("--set", "settings.mode=Off", "--set-json", f"settings.nodeModes={node_modes}")
    rest = "discloseOtherNamespaces=true", "maxKillsPerMinute=30", "hostPriority=0", "defaults.bestEffort=0"
    others = [word for each in rest for word in ("--set", f"settings.{each}")]
    found = named(helm.template(*flags, *others), "OOMSettings", "cluster")
    parsed = parse_settings(found)

    assert (Mode.OFF, 1, True) == (parsed.mode, len(parsed.node_modes), parsed.disclose_other_namespaces)
    assert (30, 0, Defaults(best_effort=0)) == (parsed.max_kills_per_minute, parsed.host_priority, parsed.defaults)
    assert "suspend" not in found["spec"]


def test_no_settings_are_created_if_the_values_say_so(helm: Helm) -> None:
    """An upgrade without the definition in the cluster does not create it either."""
    for flags in (("--set", "settings.create=false"), ("--is-upgrade",)):
        assert [] == [each for each in helm.template(*flags) if each["kind"] == "OOMSettings"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("settings.mode=Sometimes", "at '/settings/mode': value must be one of 'Enforce', 'Audit', 'Off'"),
        ("settings.suspend=true", "at '/settings': additional properties 'suspend' not allowed"),
        ("settings.nodeModes[0].mode=Off", "at '/settings/nodeModes/0': missing property 'nodeSelector'"),
    ],
)
def test_wrong_settings_are_refused(helm: Helm, value: str, sentence: str) -> None:
    """The kill switch is no value of the chart."""
    with pytest.raises(HelmError) as refused:
        helm.template("--set", value)

    assert sentence in str(refused.value)
