# SPDX-License-Identifier: Apache-2.0
"""`resolve` reads workloads, and prints the pods that you select in the order that you ask for."""

import json
from pathlib import Path

import pytest
import yaml

from oompolicy.cli import main
from tests.unit.policy.factories import raw_pod, raw_policy
from tests.unit.policy.test_workloads import workload

LOW = {"match": {"podSelector": {"matchLabels": {"app": "web"}}}, "priority": {"value": 50}, "killScope": "Pod"}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    batch = raw_pod(metadata={"name": "batch", "namespace": "batch", "uid": "b"}, nodeName="node-1")
    objects = [raw_policy(LOW, "low"), raw_pod(), batch, workload("Deployment"), SERVICE, SERVICE]
    made = tmp_path / "all.yaml"
    made.write_text(yaml.safe_dump_all(objects))
    return made


def test_a_workload_has_its_kind_and_other_kinds_are_counted(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The count is on standard error and no problem."""
    assert 0 == main(["resolve", str(file), "-l", "app=web"])
    out, err = capsys.readouterr()
    assert "shop        Deployment/web   app         50" in out
    assert "skipped 2 objects of other kinds: 2 Service\n" == err


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ([], ["pod/batch/batch", "pod/shop/postgres-0", "deployment/shop/web"]),
        (["--sort-by", "priority"], ["deployment/shop/web", "pod/batch/batch", "pod/shop/postgres-0"]),
        (["-n", "batch"], ["pod/batch/batch"]),
        (["-l", "app in (web)"], ["deployment/shop/web"]),
        (["--policy", "low"], ["deployment/shop/web"]),
        (["--node", "node-1"], ["pod/batch/batch"]),
        (["-n", "shop", "-l", "!app"], ["pod/shop/postgres-0"]),
    ],
)
def test_flags_select_and_sort(
    flags: list[str], names: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-o name` prints one object a line."""
    assert 0 == main(["resolve", str(file), "-o", "name", *flags])
    assert names == capsys.readouterr().out.splitlines()


def test_wide_has_kill_scope_and_node(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dash stands for a pod that no node has, and for a pod whose policy has no kill scope."""
    main(["resolve", str(file), "-o", "wide"])
    header, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert ["NAMESPACE", "POD", "CONTAINER", "PRIORITY", "KILLSCOPE", "NODE", "REASON"] == header
    assert {("batch", "-", "node-1"), ("postgres-0", "-", "-"), ("Deployment/web", "Pod", "-")} == {
        (row[1], row[4], row[5]) for row in rows
    }


def test_json_has_kind_and_node(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs need not take names apart."""
    main(["resolve", str(file), "-o", "json"])
    found = [(each["kind"], each["pod"], each["node"]) for each in json.loads(capsys.readouterr().out)]

    assert [("Pod", "batch", "node-1"), ("Pod", "postgres-0", None), ("Deployment", "web", None)] == found


def test_an_empty_table_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A header alone looks like a command that failed."""
    assert 0 == main(["resolve", str(file), "-l", "app=none"])
    assert "No pod of this input is selected.\n" == capsys.readouterr().out


def test_an_empty_input_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory of policies alone has no pod."""
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(raw_policy(LOW)))
    assert 0 == main(["resolve", str(tmp_path)])
    assert "No pod is in this input.\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--policy", "lwo"], "policy lwo: is not in the input; the policies there are low\n"),
        (["-n", "shpo"], "namespace shpo: is not in the input; the namespaces there are batch, shop\n"),
    ],
)
def test_a_misspelt_name_is_a_problem(
    flags: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty result would look like a policy without pods."""
    assert 1 == main(["resolve", str(file), *flags])
    assert capsys.readouterr().err.endswith(message)


def test_a_wrong_selector_is_wrong_usage(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message shows what a selector is."""
    with pytest.raises(SystemExit) as caught:
        main(["resolve", str(file), "-l", "a in b"])

    assert 2 == caught.value.code
    assert "is no requirement such as app=web" in capsys.readouterr().err


def test_lint_reads_directories_recursively(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A chart has its manifests in several directories."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/wrong.yaml").write_text(yaml.safe_dump(raw_policy({"priority": {"value": 2000}})))

    assert 1 == main(["lint", str(tmp_path)])
    assert "no OOMPolicy" in capsys.readouterr().out
    assert 1 == main(["lint", "-R", str(tmp_path)])
    assert "must be from 0 to 1000, not 2000" in capsys.readouterr().out
