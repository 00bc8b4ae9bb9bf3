# SPDX-License-Identifier: Apache-2.0
"""The command line prints tables for people and JSON or YAML for scripts, and its exit status shows problems."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from oompolicy.cli import main
from tests.unit.policy.factories import UID, raw_pod, raw_policy, raw_settings

TENANTS = {"precedence": 30, "priority": {"value": 500}, "override": {"min": 300, "max": 700}, "killScope": "Process"}
SOURCE_ROOT = Path(__file__).parents[3] / "operator"
SIDECARS = [{"name": "proxy", "restartPolicy": "Always"}]


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    asking = {"annotations": {"oompolicy.dev/priority": "650", "oompolicy.dev/container.proxy": "900"}}
    pod = raw_pod(metadata=asking, nodeName="node-1", containers=[{"name": "app"}], initContainers=SIDECARS)
    hand_written = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}, "spec": {"nodeName": "node-2"}}
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all([raw_policy(TENANTS, "tenants"), raw_policy(TENANTS, "too"), pod, hand_written]))
    return file


def test_resolve_prints_a_table(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a line for each pod, each container and each refusal."""
    status = main(["resolve", "-f", str(manifests)])

    allowed = "annotation oompolicy.dev/priority, allowed by OOMPolicy tenants (300..700)"
    expected = f"""\
NAMESPACE   POD          CONTAINER         PRIORITY   REASON
default     other        -                 500        OOMPolicy tenants (precedence 30): value 500; overlaps too
shop        postgres-0   -                 650        {allowed}; overlaps too
shop        postgres-0   proxy (sidecar)   650        {allowed}
shop        postgres-0   app               650        {allowed}
shop        postgres-0   -                 -          refused: annotation oompolicy.dev/container.proxy: \
900 is outside 300..700, which OOMPolicy tenants allows
"""
    assert (0, expected, "") == (status, *capsys.readouterr())


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_resolve_prints_for_programs(manifests: Path, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON and YAML hold the same data."""
    assert 0 == main(["resolve", "-f", str(manifests), "--node", "node-1", "-o", output])

    text = capsys.readouterr().out
    (assignment,) = json.loads(text) if output == "json" else yaml.safe_load(text)
    reason = "annotation oompolicy.dev/priority, allowed by OOMPolicy tenants (300..700)"
    expected = {
        "namespace": "shop",
        "kind": "Pod",
        "pod": "postgres-0",
        "uid": UID,
        "node": "node-1",
        "priority": 650,
        "reason": reason,
        "source": "annotation",
        "policy": "tenants",
        "killScope": "Process",
        "overlapping": ["too"],
        "containers": [
            {"name": "proxy", "kind": "sidecar", "priority": 650, "reason": reason},
            {"name": "app", "kind": "container", "priority": 650, "reason": reason},
        ],
        "refusals": [
            {
                "annotation": "oompolicy.dev/container.proxy",
                "value": "900",
                "message": "900 is outside 300..700, which OOMPolicy tenants allows",
            }
        ],
        "moreRefusals": 0,
    }
    assert expected == assignment


def test_resolve_can_be_limited_to_a_node(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only pods that are scheduled there are printed."""
    main(["resolve", "-f", str(manifests), "--node", "node-2"])

    assert ["POD", "other"] == [line.split()[1] for line in capsys.readouterr().out.splitlines()]


def test_resolve_prints_all_that_it_can_resolve(
    manifests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Problems are written to standard error, and the exit status shows them."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump(raw_policy({"priority": {"value": 2000}}, "wrong")))

    assert 1 == main(["resolve", "-f", str(manifests), "-f", str(wrong)])
    out, err = capsys.readouterr()
    assert 6 == len(out.splitlines())
    assert f"{wrong}: OOMPolicy/wrong: spec.priority.value: must be from 0 to 1000, not 2000\n" == err


def test_resolve_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """You can pipe the output of kubectl into the command."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(raw_pod()).encode())))

    assert 0 == main(["resolve", "-f", "-"])
    assert "built-in default for QoS class BestEffort" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["resolve", "-f"], ["lint"]])
def test_a_reader_may_close_the_pipe_early(command: list[str], tmp_path: Path) -> None:
    """`resolve | head` shows no traceback, and its status is that of the manifests."""
    file = tmp_path / "many.yaml"
    file.write_text(json.dumps({"kind": "List", "items": [raw_pod(metadata={"name": f"p{n}"}) for n in range(5000)]}))
    command = [sys.executable, "-m", "oompolicy", *command, str(file)]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as pipe:
        run = subprocess.run(command, cwd=SOURCE_ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)

    assert 1 == run.returncode
    assert "Traceback" not in run.stderr
    assert "BrokenPipe" not in run.stderr


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_half_a_surrogate_pair_causes_no_traceback(output: str, tmp_path: Path) -> None:
    """JSON may have one, in an annotation and in a file's name. The printed text can be read again."""
    file = tmp_path / "\udcff.json"
    file.write_text(json.dumps(raw_pod(metadata={"annotations": {"oompolicy.dev/priority": "\ud800"}})))
    run = subprocess.run(
        [sys.executable, "-m", "oompolicy", "resolve", "-f", file, file, "-o", output],
        cwd=SOURCE_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (1, "\ufffd" in run.stdout) == (run.returncode, True)
    assert "Traceback" not in run.stderr
    assert "Pod/shop/postgres-0: is defined twice" in run.stderr


LABELLED = {"match": {"namespaceSelector": {"matchLabels": {"tier": "prod"}}}, "priority": {"value": 900}}
NAMED = {
    "match": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "a"}}},
    "priority": {"value": 9},
}


def resolved(tmp_path: Path, *objects: dict[str, Any], node: str | None = None) -> int:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all(objects))
    return main(["resolve", "-f", str(tmp_path / "a.yaml"), *(["--node", node] if node else [])])


def test_resolve_names_a_missing_namespace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy selects by labels of the namespace. Its name is known without the object."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tier": "prod"}}}

    assert 1 == resolved(tmp_path, raw_policy(LABELLED, "b"), raw_policy(LABELLED, "a"), raw_pod())
    expected = (
        "Namespace/shop: is not in the input, so its labels are unknown and the namespaceSelector of a, b fails\n"
    )
    assert expected == capsys.readouterr().err
    assert 0 == resolved(tmp_path, raw_policy(LABELLED), raw_pod(), space)
    assert 0 == resolved(tmp_path, raw_policy(NAMED), raw_pod())
    assert 0 == resolved(tmp_path, raw_policy(LABELLED), space)
    assert "" == capsys.readouterr().err


def test_resolve_reports_a_missing_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name would otherwise look like a node without pods."""
    assert 1 == resolved(tmp_path, raw_pod(nodeName="node-1"), node="node1")
    assert (
        "node node1: no pod of the input is on this node; the nodes named there are node-1\n" == capsys.readouterr().err
    )
    assert 1 == resolved(tmp_path, raw_pod(), node="node1")
    assert "no pod there names a node" in capsys.readouterr().err


def test_lint_prints_nothing_without_a_mistake(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command does not check annotations against an override."""
    manifests.write_text(manifests.read_text().partition("---\n")[2])
    assert 0 == main(["lint", str(manifests)])
    assert ("", "") == tuple(capsys.readouterr())


def test_lint_names_file_object_and_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem has one line, and so has each annotation that no policy could allow."""
    file = tmp_path / "a.yaml"
    asking = {"annotations": {"oompolicy.dev/priority": "high", "example.com/other": "x"}}
    file.write_text(yaml.safe_dump_all([raw_policy({**TENANTS, "precedense": 1}), raw_pod(metadata=asking)]))

    assert 1 == main(["lint", str(file)])
    expected = [
        f"{file}: OOMPolicy/databases: spec.precedense: unknown field;"
        " known are precedence, match, priority, containers, override, killScope",
        f"{file}: Pod/shop/postgres-0: metadata.annotations[oompolicy.dev/priority]:"
        " 'high' is not a plain integer from 0 to 1000",
    ]
    assert expected == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("command", [["lint"], ["resolve", "-f"]])
def test_an_empty_directory_is_a_problem(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If you lint the wrong directory, you get a problem."""
    assert 1 == main([*command, str(tmp_path)])
    assert f"{tmp_path}: no OOMPolicy, OOMSettings, Namespace, Pod or workload is in this input\n" in "".join(
        capsys.readouterr()
    )


@pytest.mark.parametrize("arguments", [[], ["resolve"], ["lint"], ["resolve", "-f", "a", "-o", "xml"], ["guess"]])
def test_wrong_usage_has_its_own_exit_status(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A script can distinguish it from invalid manifests."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert 2 == caught.value.code
    assert capsys.readouterr().err.startswith("Usage: oompolicy")


def test_the_package_can_be_run(manifests: Path) -> None:
    """`python3 -m oompolicy` is the same command."""
    command = [sys.executable, "-m", "oompolicy", "lint", str(manifests)]

    run = subprocess.run(command, cwd=SOURCE_ROOT, capture_output=True, check=False)
    assert (0, b"") == (run.returncode, run.stderr)
    assert run.stdout.startswith(f"warning: {manifests}: OOMPolicy/tenants: spec.precedence: ".encode())


def test_resolve_uses_the_defaults_of_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason shows that the default is not the built-in one."""
    settings = raw_settings({"mode": "Audit", "defaults": {"bestEffort": 150}})
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}

    assert 0 == resolved(tmp_path, raw_pod(), space, settings)
    assert "150        default of OOMSettings for QoS class BestEffort" in capsys.readouterr().out
