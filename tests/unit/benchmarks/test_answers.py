# SPDX-License-Identifier: Apache-2.0
"""The answers and the chart on top of docs/benchmarks.md are those that the tables give."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from benchmarks import answers, chart, questions, ratios, tables
from benchmarks.report import TITLES
from benchmarks.shortages import Shortage, Shortages
from benchmarks.tables import PageError
from tests.unit.docs.page import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

PAGE, CAMPAIGN = ((CHECKOUT / page).read_text() for page in (questions.PAGE, questions.CAMPAIGN))
PLACES = ("trixie instructions", "path", "adjuster", "realnode", "race", "cluster", "images")


def at(text: str) -> tables.Place:
    """Return a place of a section A with this text between its marks."""
    return tables.Place("page.md", "A", f"## A\n{text}", text)


def without(place: str) -> str:
    """Return the page with nothing between the marks of a place."""
    begin, end = f"<!-- {place}: begin -->\n", f"<!-- {place}: end -->"
    return PAGE.partition(begin)[0] + begin + end + PAGE.partition(end)[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with both pages and an old chart."""
    (tmp_path / "docs/pictures").mkdir(parents=True)
    for page in (questions.PAGE, questions.CAMPAIGN, f"docs/{answers.PICTURE}"):
        shutil.copy(CHECKOUT / page, tmp_path / page)
    return tmp_path


def test_the_page_has_the_answers_of_its_tables() -> None:
    """If this fails, run `make generated`."""
    text, _ = answers.made(PAGE, CAMPAIGN)

    assert f"\n{text}\n" == tables.place(questions.PAGE, PAGE, "answers").text


def test_the_chart_is_that_of_the_tables() -> None:
    """If this fails, run `make generated`."""
    _, svg = answers.made(PAGE, CAMPAIGN)

    assert svg == (CHECKOUT / "docs" / answers.PICTURE).read_text()


def test_the_answers_are_the_first_section_of_the_page() -> None:
    assert PAGE.index("\n## ") == PAGE.index("\n## Answers\n")


@pytest.mark.parametrize("place", PLACES)
def test_a_missing_table_is_an_error_that_names_the_section(place: str) -> None:
    heading = tables.place(questions.PAGE, PAGE, place).heading

    with pytest.raises(PageError) as error:
        questions.render(without(place), CAMPAIGN)

    assert str(error.value).startswith(f'docs/benchmarks.md, section "{heading}": there is no table ')


def test_a_missing_table_of_the_campaign_is_an_error_that_names_its_page() -> None:
    with pytest.raises(PageError, match=r'docs/campaign.md, section "Results": there is no table'):
        questions.render(PAGE, CAMPAIGN.replace("| backend |", "| by |"))


def test_a_benchmark_writes_its_table_the_answers_and_the_chart(checkout: Path) -> None:
    (checkout / "docs" / answers.PICTURE).write_text("")
    result = "| image | to fetch, MB | on disk, MB | goal |\n|---|---|---|---|\n| `new` | 1.5 | 2.5 |  |\n"

    assert 0 == answers.write("images", result, checkout)

    page = (checkout / questions.PAGE).read_text()
    assert result in page
    assert "| `new`: 1.5 MB to fetch, 2.5 MB on disk. |" in page.partition("<!-- answers: end -->")[0]
    assert (checkout / "docs" / answers.PICTURE).read_text() == answers.made(PAGE, CAMPAIGN)[1]


def test_a_result_is_kept_if_it_gives_no_answer(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run takes up to half an hour."""
    before = tables.place(questions.PAGE, PAGE, "answers").text

    assert 1 == answers.write("race", "no table", checkout)

    page = (checkout / questions.PAGE).read_text()
    assert "\nno table\n" == tables.place(questions.PAGE, page, "race").text
    assert before == tables.place(questions.PAGE, page, "answers").text
    message = capsys.readouterr().err
    assert "The answers of docs/benchmarks.md are unchanged." in message
    assert 'section "How fast a container may grow with scores"' in message


def test_a_second_run_changes_nothing(checkout: Path) -> None:
    answers.refresh(checkout)
    first = (checkout / questions.PAGE).read_text()
    answers.refresh(checkout)

    assert first == (checkout / questions.PAGE).read_text()


def test_wrong_victims_are_counted_by_backend() -> None:
    rows = [("hook in a module", 50, 1), ("hook in the kernel", "1,000", 0), ("scores", 50, 2)]
    lines = "\n".join(f"| {backend} | {ooms} | {wrong} |" for backend, ooms, wrong in rows)
    text = f"**1,100 of 2,000 OOMs are done.**\n\n| backend | OOMs | wrong |\n|---|---|---|\n{lines}\n"
    lost = "\n- `a/1`, 2026-11-28, abc, did not end: a panic\n"
    counted, done = (
        "With the hook, 1 in 1,050 OOMs. With scores, 2 in 50 OOMs.",
        "1,100 of the planned 2,000 OOMs are done.",
    )

    assert f"{counted} Every round ended. {done}" == questions.victims(at(text)).answer
    assert f"{counted} Rounds that did not end: 1. {done}" == questions.victims(at(text + lost)).answer


def measured(*cases: tuple[str, str]) -> tables.Place:
    """Return a place with a table for each number of tasks and scope. oompolicy's ratios are 2.5 and 0.5."""
    names = "| | median | of bare | of the sample |\n|---|---|---|---|\n"
    rows = "".join(f"| {title} | 9 | 1 | 1 |\n" for key, title in TITLES.items() if key != "ours")
    result = f"{names}{rows}| {TITLES['ours']} | 9 | 2.50 (2.1 to 3.1) | 0.50 (0.4 to 0.6) |\n"
    text = "".join(f"{tasks} tasks, scope `{scope}`:\n\n{result}\nGoal.\n\n" for tasks, scope in cases)
    return at(f"Kernel 6.12, 2026-11-25, QEMU.\n\n{text}")


def test_the_largest_number_of_tasks_counts() -> None:
    """It is the largest number, and not the last or the longest."""
    place = measured(("900", "limit"), ("10,000", "limit"), ("10,000", "node"), ("900", "node"))
    found = ratios.read(place)

    assert ("10,000", "6.12", "2026-11-25") == (found.tasks, found.kernel, found.date)
    assert (2.5, 0.5) == (found.of_bare["node"][TITLES["ours"]], found.of_sample["limit"][TITLES["ours"]])
    assert "among 10,000 tasks takes 2.50 times" in questions.selection(place).answer


def test_a_missing_scope_is_an_error_that_names_it() -> None:
    with pytest.raises(PageError, match=r'section "A": there is no table of 10,000 tasks with the scope limit'):
        ratios.read(measured(("900", "limit"), ("900", "node"), ("10,000", "node")))


def test_the_longest_bar_fits_its_panel_whatever_its_ratio() -> None:
    """The bars of another run have other lengths."""
    found = ratios.read(measured(("900", "limit"), ("900", "node")))
    bars = [
        int(width) for width in re.findall(r'class="(?:ours|other)" x="236" y="\d+" width="(\d+)"', chart.draw(found))
    ]

    assert [116, 116, 116, 290] * 2 == bars


def test_kills_beyond_need_of_all_kernels_are_added() -> None:
    """The tables are those that the benchmark writes, one for each kernel."""
    kills = {False: [1, 2, 4], True: [1, 2]}
    table = Shortages([Shortage("node", 34, enforced, each, 0.5) for enforced in kills for each in kills[enforced]])
    text = f"Kernel 6.12\n\n{table.table()}\n\nKernel 7.3\n\n{table.table()}\n"

    assert (
        "The bare kernel made 8 kills beyond need in 6 OOMs, and oompolicy 2 in 4."
        == questions.surplus(at(text)).answer
    )


def test_a_benchmark_without_a_result_gives_no_figure() -> None:
    assert "There is no result yet." == questions.surplus(at("")).answer


@pytest.mark.parametrize(
    ("prose", "text", "expected"),
    [
        ("", "Linux 6.18.", ""),
        ("If the range is wide, the host was busy.", "Linux 6.18.", ""),
        ("", "QEMU with software emulation (TCG)", " Measured on an emulated processor."),
        ("In this run the machine was busy all the time.", "", " Measured on a busy machine."),
        ("This run was on a busy machine.", "KVM", " Measured on a busy machine."),
        ("The machine was too busy for 100 changes/s.", "", " Measured on a busy machine."),
        ("In this run it was busy.", "software emulation", " Measured on an emulated processor and a busy machine."),
    ],
)
def test_an_answer_says_that_the_processor_is_emulated_and_the_machine_was_busy(
    prose: str, text: str, expected: str
) -> None:
    assert expected == questions.setting(tables.Place("page.md", "A", f"## A\n{prose}\n{text}", text))


@pytest.mark.parametrize(
    ("goal", "expected"), [("0.3: missed", " The goal of 0.3 % is missed."), ("1: reached", ""), ("", "")]
)
def test_a_missed_goal_is_in_the_answer(goal: str, expected: str) -> None:
    assert expected == questions.missed(tables.Row("", {"goal": goal}), " %")


def races(*rows: str) -> tables.Place:
    """Return a place with these rows of a race: growth, measured, pace, races, right, wrong, third."""
    names = "| growth per second | measured | between two looks | races | right | wrong | third |\n"
    rule = "|---|---|---|---|---|---|---|\n"
    goal = "Goal of at least 99% right victims at 20 % per second with the adjuster's own pace: missed (1 of 2)."
    return at(names + rule + "".join(f"| {row} |\n" for row in rows) + f"\n{goal}\n")


def test_races_are_added_by_growth_with_the_range_of_the_measured_growth() -> None:
    """One growth has a race for each number of levels, and other paces do not count."""
    found = questions.growth(
        races(
            "5 % | 4.4 % | the adjuster's own | 10 | 10 | 0 | 0",
            "5 % | 4.8 % | the adjuster's own | 10 | 9 | 1 | 0",
            "20 % | 17.0 % | 1 s | 50 | 0 | 50 | 0",
            "20 % | 18.0 % | the adjuster's own | 100 | 99 | 1 | 0",
        )
    )

    assert (
        "Right victims by growth, in per cent of the node's memory per second: 19 of 20 at 4.4 to 4.8 %, "
        "99 of 100 at 18.0 %. No third container died. The goal of at least 99% right victims at 20 % is missed."
    ) == found.answer


def test_a_third_container_is_in_the_answer() -> None:
    """It counts at each pace."""
    found = questions.growth(
        races("5 % | 4.4 % | the adjuster's own | 10 | 9 | 0 | 1", "20 % | 17.0 % | 1 s | 50 | 48 | 0 | 2")
    )

    assert "A third container died in 3 races." in found.answer


def test_races_without_the_adjusters_own_pace_give_no_answer() -> None:
    with pytest.raises(PageError, match='section "A": the table has no race at the adjuster\'s own pace'):
        questions.growth(races("20 % | 17.0 % | 1 s | 50 | 0 | 50 | 0"))
