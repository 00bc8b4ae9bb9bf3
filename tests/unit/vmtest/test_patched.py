# SPDX-License-Identifier: Apache-2.0
"""Patched kernels are built with known options, and their tests are reported in a table."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from vmtest.document import replace
from vmtest.errors import BuildError
from vmtest.patched.recipe import check_options, fragments, options, recipes
from vmtest.suite import PAGE, Result, counts, selection, show, table


def test_each_folder_of_patches_is_a_kernel_in_the_order_of_their_names(tmp_path: Path) -> None:
    """If there is a patch for it, a kernel with the RFC's hook position on top is another one."""
    for name in (
        "patches/6.12/0002-b.patch",
        "patches/6.12/0001-a.patch",
        "patches/7.3/0001-a.patch",
        "rfc/6.12.patch",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = recipes(tmp_path / "patches", tmp_path / "rfc")

    assert ["patched-6.12", "as-posted-6.12", "patched-7.3"] == list(found)
    assert ["0001-a.patch", "0002-b.patch"] == [patch.name for patch in found["patched-6.12"].patches]
    assert ["0001-a.patch", "0002-b.patch", "6.12.patch"] == [patch.name for patch in found["as-posted-6.12"].patches]


def test_the_projects_own_series_have_five_patches() -> None:
    assert {5} == {len(recipe.patches) for name, recipe in recipes().items() if name.startswith("patched")}


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
@pytest.mark.parametrize("line", sorted({recipe.line for recipe in recipes().values()}))
def test_no_option_is_set_twice(line: str, arch: str) -> None:
    """Kconfig would use the last one without a warning."""
    text = "\n".join(path.read_text() for path in fragments(line, arch))

    assert len([line for line in text.splitlines() if line.startswith("CONFIG_")]) == len(options(text))


def test_an_option_that_kconfig_dropped_is_an_error() -> None:
    """Kconfig drops unknown options, and options that lack a dependency."""
    got = 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_NAME="x"\n'
    check_options('# why\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_C=n\nCONFIG_NAME="x"\n', got)

    with pytest.raises(BuildError, match="CONFIG_B=y is n; CONFIG_D=y is n"):
        check_options("CONFIG_A=y\nCONFIG_B=y\nCONFIG_D=y\n", got)


def test_skipped_tests_do_not_count_as_passed() -> None:
    junit = '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>'

    assert (4, 6) == counts(junit)


def test_the_page_for_a_node_is_tested_only_on_its_own_kernel() -> None:
    assert ["tests/node"] == selection("trixie")
    assert ["tests/node", f"--ignore={PAGE}"] == selection("patched-6.12") == selection("trixie-backports")
    assert Path(PAGE).exists()


def test_with_the_hook_in_another_position_only_the_rules_are_tested() -> None:
    assert "tests/node/test_order.py" in selection("as-posted-6.12")
    assert all(Path(each).exists() for each in selection("as-posted-6.12"))


def test_a_guests_output_has_its_name_before_each_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Two guests write at the same time."""
    assert 3 == show("6.12", ["sh", "-c", "echo one; echo two >&2; exit 3"])
    assert "6.12: one\n6.12: two\n" == capfd.readouterr().out


def test_the_table_replaces_the_previous_one() -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = table([Result("patched-6.12", "6.12.117", 0, 73, 0, 9.6)])
    once = replace("a\n<!-- kernels: begin -->\nold\n<!-- kernels: end -->\nb\n", "kernels", text)

    assert f"| `patched-6.12` | 6.12.117 | `kernel/patches` | {today} | 73 | 0 | 10 |" in once
    assert "old" not in once
    assert once == replace(once, "kernels", text)
    with pytest.raises(ValueError, match="kernels: begin"):
        replace("no marks", "kernels", text)
