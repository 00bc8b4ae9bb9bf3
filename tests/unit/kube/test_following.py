# SPDX-License-Identifier: Apache-2.0
"""The next request and the meaning of each answer, tested case by case without a server."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy.kube.following import Following


class Recorder:
    """A handler that records its calls. `None` is a deletion."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def replaced(self, objects: dict[str, str]) -> None:
        self.calls.append(objects)

    def changed(self, uid: str, obj: str) -> None:
        self.calls.append((uid, obj))

    def deleted(self, uid: str) -> None:
        self.calls.append((uid, None))


def following(recorder: Recorder | None = None) -> Following[str]:
    """Return one that waits for the longest time and keeps names."""
    return Following(lambda raw: str(raw["metadata"]["name"]), recorder or Recorder(), lambda _, longest: longest)


def followed(recorder: Recorder | None = None) -> Following[str]:
    """Return one after its list at resource version 10."""
    made = following(recorder)
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


def test_the_first_request_is_a_watch_with_a_list() -> None:
    """WatchList starts at the newest state, with bookmarks and without a resource version."""
    expected = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "321",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }

    assert expected == following().watch(321)


def test_few_objects_are_listed_in_one_answer() -> None:
    """The list comes from the server's cache, which has an index. The watch resumes at its version."""
    recorder = Recorder()
    made = Following(lambda raw: str(raw["metadata"]["name"]), recorder, lambda _, longest: longest, few=True)

    assert made.needs_pages
    assert {"resourceVersion": "0"} == made.page_query("")
    made.page({"metadata": {"resourceVersion": "7"}, "items": [event("ADDED", "a", "5")["object"]]})
    assert [{"a": "a"}] == recorder.calls
    assert not made.needs_pages
    assert {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "300", "resourceVersion": "7"} == (
        made.watch(300)
    )


def test_a_list_is_handed_on_when_it_is_complete() -> None:
    """An object that is missing from half a list is not deleted."""
    recorder = Recorder()
    made = following(recorder)
    made.watch(300)
    made.event(event("ADDED", "a", "1"))
    made.event(event("ADDED", "b", "2"))
    made.event(bookmark("3"))

    assert [] == recorder.calls
    assert made.synced is False
    made.event(end_of_list("10"))
    assert [{"a": "a", "b": "b"}] == recorder.calls
    assert made.synced is True


def test_changes_during_a_list_are_part_of_it() -> None:
    """A modified object has its newest state, and a deleted object is not in the list."""
    recorder = Recorder()
    made = following(recorder)
    made.watch(300)
    for each in (event("ADDED", "a", "1"), event("ADDED", "b", "2"), event("MODIFIED", "a", "3", "new")):
        made.event(each)
    made.event(event("DELETED", "b", "4"))
    made.event(end_of_list("10"))

    assert [{"a": "new"}] == recorder.calls


def test_each_event_after_the_list_is_handed_on() -> None:
    """Additions and modifications are the same call. Bookmarks are not handed on."""
    recorder = Recorder()
    made = followed(recorder)
    for each in (event("ADDED", "a", "11"), event("MODIFIED", "a", "12", "new"), bookmark("13")):
        made.event(each)
    made.event(event("DELETED", "a", "14"))

    assert [{}, ("a", "a"), ("a", "new"), ("a", None)] == recorder.calls


@pytest.mark.parametrize(
    ("last", "version"),
    [(event("ADDED", "a", "11"), "11"), (event("DELETED", "a", "12"), "12"), (bookmark("13"), "13")],
    ids=["addition", "deletion", "bookmark"],
)
def test_a_watch_resumes_after_the_last_event(last: dict[str, Any], version: str) -> None:
    """Every kind of event sets the version, and no list is needed."""
    made = followed()
    made.event(last)
    assert 0.0 == made.ended(300.0)
    query = made.watch(300)

    assert version == query["resourceVersion"]
    assert "sendInitialEvents" not in query


def test_a_watch_resumes_after_a_broken_connection() -> None:
    """The failure is reported until the server accepts the next watch."""
    made = followed()
    made.failed(UnreachableError("no answer from here"))

    assert "no answer from here" == made.failing
    assert "10" == made.watch(300)["resourceVersion"]
    made.opened()
    assert made.failing is None


def test_a_failure_lasts_until_a_list_is_complete() -> None:
    """A watch with a list is no success until the list is complete."""
    made = following()
    made.failed(UnreachableError("no answer"))
    made.watch(300)
    made.opened()
    made.event(event("ADDED", "a", "1"))

    assert "no answer" == made.failing
    made.event(end_of_list("10"))
    assert made.failing is None


@pytest.mark.parametrize("how", ["answer", "event"])
def test_an_expired_version_requires_a_complete_list(how: str) -> None:
    """The server reports it as HTTP status or as event. Deleted objects are missing from the list."""
    recorder = Recorder()
    made = followed(recorder)
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
    assert {"b": "b"} == recorder.calls[-1]


def test_an_incomplete_list_is_dropped() -> None:
    """The list is dropped after an end of the watch and after a failure."""
    recorder = Recorder()
    made = following(recorder)
    made.watch(300)
    made.event(event("ADDED", "a", "1"))
    assert 0.5 == made.ended(300.0)
    made.watch(300)
    made.event(event("ADDED", "b", "2"))
    made.failed(UnreachableError("broken"))
    made.watch(300)
    made.event(end_of_list("10"))

    assert [{}] == recorder.calls


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_watch_list_is_asked_for_pages(status: int) -> None:
    """The pages are requested at once. The watch then resumes at the version of the list."""
    recorder = Recorder()
    made = following(recorder)
    made.watch(300)

    assert 0.0 == made.failed(refusal(status))
    assert made.needs_pages
    assert {"limit": "500"} == made.page_query("")
    assert "t" == made.page(page("a", following_page="t", version="5"))
    assert {"limit": "500", "continue": "t"} == made.page_query("t")
    assert [] == recorder.calls
    assert "" == made.page(page("b", version="5"))
    assert [{"a": "a", "b": "b"}] == recorder.calls
    assert made.synced is True
    assert made.needs_pages is False
    assert "5" == made.watch(300)["resourceVersion"]


def test_expired_pages_are_read_again_from_the_first() -> None:
    """A continue token is valid for about five minutes."""
    recorder = Recorder()
    made = following(recorder)
    made.watch(300)
    made.failed(refusal(400))
    made.page(page("a", following_page="t", version="5"))
    made.failed(refusal(410))

    assert made.needs_pages
    made.page(page("b", version="9"))
    assert [{"b": "b"}] == recorder.calls


def test_a_refused_version_requires_a_complete_list() -> None:
    """After a restore of its data, the API server refuses the version forever."""
    made = followed()
    made.failed(refusal(400))

    assert "sendInitialEvents" in made.watch(300)


def test_the_delay_grows_until_an_event() -> None:
    """The delay grows from half a second to half a minute."""
    made = followed()
    delays = [made.failed(UnreachableError("no answer")) for _ in range(8)]

    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == delays
    made.watch(300)
    made.event(bookmark("11"))
    assert 0.5 == made.failed(UnreachableError("no answer"))


@pytest.mark.parametrize("how", ["410", "garbage", "cut"])
def test_the_delay_grows_while_watches_do_not_last(how: str) -> None:
    """Complete lists and single events do not reset the delay, because 5,000 agents would repeat their lists."""
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


def test_a_watch_that_lasted_resets_the_delay() -> None:
    """Earlier short watches then have no influence."""
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


def test_a_short_watch_is_no_failure() -> None:
    """Its events were handled, and only the next watch may be delayed."""
    made = followed()
    made.watch(300)
    made.opened()
    cut_short(made, "cut")

    assert made.failing is None


def test_silence_is_no_failure() -> None:
    """A quiet collection does not even have bookmarks. The next watch resumes, and fails if the server is gone."""
    made = followed()
    made.watch(300)
    made.opened()

    assert 0.5 == made.silent(90.0)
    assert made.failing is None
    assert "10" == made.watch(300)["resourceVersion"]
    made.opened()
    assert 0.5 == made.silent(90.0)


def test_silence_in_the_middle_of_a_list_is_a_failure() -> None:
    """Half a list cannot be used."""
    made = following()
    made.watch(300)
    made.opened()
    made.event(event("ADDED", "a", "1"))
    made.silent(90.0)

    assert "the list stopped before it was complete" == made.failing
    assert "sendInitialEvents" in made.watch(300)


def test_an_expired_version_resets_the_delay() -> None:
    """The server answered, so earlier failures do not count any more."""
    made = followed()
    for _ in range(5):
        made.failed(UnreachableError("no answer"))

    assert 0.5 == made.failed(refusal(410))


def test_a_watch_that_ends_without_an_event_is_a_failure() -> None:
    """Its delay grows, so a server that ends every watch is not overloaded."""
    made = followed()
    made.ended(300.0)
    made.watch(300)
    made.opened()

    assert 0.5 == made.ended(300.0)
    made.watch(300)
    made.opened()
    assert 1.0 == made.ended(300.0)


def test_the_delay_is_added_to_the_servers_retry_after() -> None:
    """The random part is added because all clients receive the same Retry-After."""
    assert 7.5 == followed().failed(refusal(429, retry_after=7.0))


def test_a_restart_requires_a_complete_list() -> None:
    """A lost event would be missed forever."""
    made = followed()
    made.restart("it is broken")

    assert "it is broken" == made.failing
    assert "sendInitialEvents" in made.watch(300)


def page(*names: str, version: str, following_page: str = "") -> dict[str, Any]:
    metadata = {"resourceVersion": version, **({"continue": following_page} if following_page else {})}
    return {"metadata": metadata, "items": [{"metadata": {"uid": name, "name": name}} for name in names]}
