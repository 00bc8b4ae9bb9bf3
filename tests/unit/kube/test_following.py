# SPDX-License-Identifier: Apache-2.0
"""What is asked of the API server next, and what an answer means: each case as it comes, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy.kube.following import Following


class Told:
    """What the handler was told: `None` is a deletion."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def replaced(self, objects: dict[str, str]) -> None:
        self.calls.append(objects)

    def changed(self, uid: str, obj: str) -> None:
        self.calls.append((uid, obj))

    def deleted(self, uid: str) -> None:
        self.calls.append((uid, None))


def following(told: Told | None = None) -> Following[str]:
    """That waits as long as it may, and keeps names."""
    return Following(lambda raw: str(raw["metadata"]["name"]), told or Told(), lambda _, longest: longest)


def followed(told: Told | None = None) -> Following[str]:
    """One that has had its list, at resource version 10."""
    made = following(told)
    made.watch(300)
    made.event(end_of_list("10"))
    return made


def event(kind: str, uid: str, version: str, name: str = "") -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"uid": uid, "name": name or uid, "resourceVersion": version}}}


def end_of_list(version: str) -> dict[str, Any]:
    annotations = {"k8s.io/initial-events-end": "true"}
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version, "annotations": annotations}}}


def bookmark(version: str) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}


def error_event(code: int, reason: str) -> dict[str, Any]:
    return {"type": "ERROR", "object": {"kind": "Status", "code": code, "reason": reason, "message": "too old"}}


def refusal(status: int, retry_after: float | None = None) -> ApiError:
    return ApiError(status, "Reason", "message", retry_after)


def test_it_begins_with_a_watch_that_lists() -> None:
    """WatchList: from the newest state, with bookmarks, and no resource version."""
    expected = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "321",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }

    assert expected == following().watch(321)


def test_few_objects_are_listed_at_once() -> None:
    """From the server's cache, which finds them by index; then they are watched from there."""
    told = Told()
    made = Following(lambda raw: str(raw["metadata"]["name"]), told, lambda _, longest: longest, few=True)

    assert made.needs_pages
    assert {"resourceVersion": "0"} == made.page_query("")
    made.page({"metadata": {"resourceVersion": "7"}, "items": [event("ADDED", "a", "5")["object"]]})
    assert [{"a": "a"}] == told.calls
    assert not made.needs_pages
    assert {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "300", "resourceVersion": "7"} == (
        made.watch(300)
    )


def test_a_list_is_told_when_it_is_whole() -> None:
    """Not before: what is missing from half a list is not gone."""
    told = Told()
    made = following(told)
    made.watch(300)
    made.event(event("ADDED", "a", "1"))
    made.event(event("ADDED", "b", "2"))
    made.event(bookmark("3"))

    assert ([], False) == (told.calls, made.synced)
    made.event(end_of_list("10"))
    assert ([{"a": "a", "b": "b"}], True) == (told.calls, made.synced)


def test_changes_while_the_list_comes_in_are_part_of_it() -> None:
    """A modified object has its newest state, a deleted one is not in the list."""
    told = Told()
    made = following(told)
    made.watch(300)
    for each in (event("ADDED", "a", "1"), event("ADDED", "b", "2"), event("MODIFIED", "a", "3", "new")):
        made.event(each)
    made.event(event("DELETED", "b", "4"))
    made.event(end_of_list("10"))

    assert [{"a": "new"}] == told.calls


def test_each_event_is_told_after_the_list() -> None:
    """Additions and modifications alike, and bookmarks not at all."""
    told = Told()
    made = followed(told)
    for each in (event("ADDED", "a", "11"), event("MODIFIED", "a", "12", "new"), bookmark("13")):
        made.event(each)
    made.event(event("DELETED", "a", "14"))

    assert [{}, ("a", "a"), ("a", "new"), ("a", None)] == told.calls


@pytest.mark.parametrize(
    ("last", "version"),
    [(event("ADDED", "a", "11"), "11"), (event("DELETED", "a", "12"), "12"), (bookmark("13"), "13")],
    ids=["addition", "deletion", "bookmark"],
)
def test_it_resumes_after_the_last_event(last: dict[str, Any], version: str) -> None:
    """Of whatever kind; without a list."""
    made = followed()
    made.event(last)
    assert 0.0 == made.ended(300.0)
    query = made.watch(300)

    assert version == query["resourceVersion"]
    assert "sendInitialEvents" not in query


def test_it_resumes_after_a_broken_connection() -> None:
    """The failure is said until the server takes the next watch."""
    made = followed()
    made.failed(UnreachableError("no answer from here"))

    assert "no answer from here" == made.failing
    assert "10" == made.watch(300)["resourceVersion"]
    made.opened()
    assert "" == made.failing


def test_it_is_still_failing_while_a_list_comes_in() -> None:
    """A watch that lists is no success until the list is whole."""
    made = following()
    made.failed(UnreachableError("no answer"))
    made.watch(300)
    made.opened()
    made.event(event("ADDED", "a", "1"))

    assert "no answer" == made.failing
    made.event(end_of_list("10"))
    assert "" == made.failing


@pytest.mark.parametrize("how", ["answer", "event"])
def test_a_resource_version_that_is_too_old_means_a_whole_list(how: str) -> None:
    """Said as HTTP status or as event; what went meanwhile is missing from the list, and so is told."""
    told = Told()
    made = followed(told)
    made.event(event("ADDED", "a", "11"))
    if how == "answer":
        made.failed(refusal(410))
    else:
        with pytest.raises(ApiError) as caught:
            made.event(error_event(410, "Expired"))
        made.failed(caught.value)

    assert "true" == made.watch(300)["sendInitialEvents"]
    made.event(event("ADDED", "b", "20"))
    made.event(end_of_list("21"))
    assert {"b": "b"} == told.calls[-1]


def test_half_a_list_is_forgotten() -> None:
    """Whatever ended it."""
    told = Told()
    made = following(told)
    made.watch(300)
    made.event(event("ADDED", "a", "1"))
    assert 0.5 == made.ended(300.0)
    made.watch(300)
    made.event(event("ADDED", "b", "2"))
    made.failed(UnreachableError("broken"))
    made.watch(300)
    made.event(end_of_list("10"))

    assert [{}] == told.calls


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_watch_list_is_asked_for_pages(status: int) -> None:
    """At once; the watch then begins at the version of the list."""
    told = Told()
    made = following(told)
    made.watch(300)

    assert 0.0 == made.failed(refusal(status))
    assert made.needs_pages
    assert {"limit": "500"} == made.page_query("")
    assert "t" == made.page(page("a", following_page="t", version="5"))
    assert {"limit": "500", "continue": "t"} == made.page_query("t")
    assert [] == told.calls
    assert "" == made.page(page("b", version="5"))
    assert [{"a": "a", "b": "b"}] == told.calls
    assert (True, False) == (made.synced, made.needs_pages)
    assert "5" == made.watch(300)["resourceVersion"]


def test_pages_that_expire_are_read_from_the_first() -> None:
    """A continue token lives for about five minutes."""
    told = Told()
    made = following(told)
    made.watch(300)
    made.failed(refusal(400))
    made.page(page("a", following_page="t", version="5"))
    made.failed(refusal(410))

    assert made.needs_pages
    made.page(page("b", version="9"))
    assert [{"b": "b"}] == told.calls


def test_a_refused_resource_version_means_a_whole_list() -> None:
    """As after the API server's data were replaced: what it refuses now it would refuse for ever."""
    made = followed()
    made.failed(refusal(400))

    assert "sendInitialEvents" in made.watch(300)


def test_the_delay_grows_until_something_is_heard() -> None:
    """From half a second to half a minute."""
    made = followed()
    delays = [made.failed(UnreachableError("no answer")) for _ in range(8)]

    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == delays
    made.watch(300)
    made.event(bookmark("11"))
    assert 0.5 == made.failed(UnreachableError("no answer"))


@pytest.mark.parametrize("how", ["410", "garbage", "cut"])
def test_a_watch_that_never_lasts_is_begun_less_and_less_often(how: str) -> None:
    """Though each list in between is good, and each watch may have said something: 5,000 agents would do the same."""
    made = followed()
    delays = []
    for _ in range(9):
        made.watch(300)
        made.opened()
        delays.append(cut_short(made, how))
        if made.watch(300).get("sendInitialEvents"):
            made.event(end_of_list("20"))

    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0] == delays


def cut_short(made: Following[str], how: str) -> float:
    if how == "410":
        return made.failed(refusal(410), 0.1)
    if how == "garbage":
        return made.restart("an event could not be handled", 0.1)
    made.event(event("ADDED", "a", "11"))
    return made.ended(0.1)


def test_a_watch_that_lasted_is_followed_by_the_next_at_once() -> None:
    """Whatever was before it."""
    made = followed()
    for _ in range(5):
        cut_short(made, "cut")
    made.watch(300)
    made.opened()
    made.event(bookmark("20"))
    assert 0.0 == made.ended(10.0)
    made.watch(300)
    made.opened()

    assert 0.5 == cut_short(made, "cut")


def test_a_watch_that_was_cut_is_no_failure() -> None:
    """What it said is known; only the next one may have to wait."""
    made = followed()
    made.watch(300)
    made.opened()
    cut_short(made, "cut")

    assert "" == made.failing


def test_silence_is_no_failure() -> None:
    """Of a quiet collection there is not even a bookmark: the next watch resumes, and tells if the server is gone."""
    made = followed()
    made.watch(300)
    made.opened()

    assert 0.5 == made.silent(90.0)
    assert ("", "10") == (made.failing, made.watch(300)["resourceVersion"])
    made.opened()
    assert 0.5 == made.silent(90.0)


def test_silence_in_the_middle_of_a_list_is_a_failure() -> None:
    """Half a list tells nothing."""
    made = following()
    made.watch(300)
    made.opened()
    made.event(event("ADDED", "a", "1"))
    made.silent(90.0)

    assert "the list has come to a halt" == made.failing
    assert "sendInitialEvents" in made.watch(300)


def test_an_expired_version_is_an_answer() -> None:
    """So the server is there, and the delay that grew while it was away begins anew."""
    made = followed()
    for _ in range(5):
        made.failed(UnreachableError("no answer"))

    assert 0.5 == made.failed(refusal(410))


def test_a_server_that_ends_every_watch_at_once_is_not_asked_without_a_break() -> None:
    """An end without an event is a failure, if not for long."""
    made = followed()
    made.ended(300.0)
    made.watch(300)
    made.opened()

    assert 0.5 == made.ended(300.0)
    made.watch(300)
    made.opened()
    assert 1.0 == made.ended(300.0)


def test_the_server_says_when_to_come_again() -> None:
    """And the random part comes on top: all were told the same."""
    assert 7.5 == followed().failed(refusal(429, retry_after=7.0))


def test_what_could_not_be_handled_is_asked_for_again() -> None:
    """Since an event that is lost would be missed for ever."""
    made = followed()
    made.restart("it is broken")

    assert "it is broken" == made.failing
    assert "sendInitialEvents" in made.watch(300)


def page(*names: str, version: str, following_page: str = "") -> dict[str, Any]:
    metadata = {"resourceVersion": version, **({"continue": following_page} if following_page else {})}
    return {"metadata": metadata, "items": [{"metadata": {"uid": name, "name": name}} for name in names]}
