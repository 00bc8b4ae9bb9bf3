# SPDX-License-Identifier: Apache-2.0
"""The informer's thread does what `following` says, over a connection that breaks on purpose."""

from __future__ import annotations

import time
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube import informer as module
from oompolicy.kube.connection import Connection
from oompolicy.kube.informer import Informer
from tests.unit.kube.server import Answer, Server, serving, status
from tests.unit.kube.test_following import bookmark, end_of_list, event

if TYPE_CHECKING:
    from collections.abc import Callable


class Heard:
    """Everything the handler was told, in a queue for the test's thread."""

    def __init__(self) -> None:
        self.calls: Queue[Any] = Queue()

    def replaced(self, objects: dict[str, str]) -> None:
        self.calls.put(objects)

    def changed(self, uid: str, obj: str) -> None:
        self.calls.put((uid, obj))

    def deleted(self, uid: str) -> None:
        self.calls.put((uid, None))

    def next(self) -> object:
        return self.calls.get(timeout=10)


def name_of(raw: dict[str, Any]) -> str:
    return str(raw["metadata"]["name"])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def informer(
    server: Server,
    heard: Heard,
    keep: Callable[[dict[str, Any]], str] = name_of,
    *,
    field_selector: str = "",
    list_only: str = "",
    label_selector: str = "",
) -> Informer[str]:
    return Informer(
        Connection(server.configuration),
        "/api/v1/pods",
        keep=keep,
        handler=heard,
        field_selector=field_selector,
        list_only=list_only,
        label_selector=label_selector,
    )


def test_list_and_events_are_told() -> None:
    """The selector is part of the query."""
    heard = Heard()
    events = (event("ADDED", "a", "1"), end_of_list("10"), event("ADDED", "b", "11"), event("DELETED", "a", "12"))
    with serving(Answer(events=events)) as server:
        made = informer(server, heard, label_selector="app=db")
        made.start()

        assert [{"a": "a"}, ("b", "b"), ("a", None)] == [heard.next() for _ in range(3)]
        assert (True, "") == (made.synced, made.failing)
        assert "app=db" == server.asked[0].query["labelSelector"]
        made.stop()


def test_a_field_selector_makes_it_begin_with_one_list() -> None:
    """Which the API server answers from an index, and then the watch, both with the selector."""
    heard = Heard()
    listed = {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"uid": "a", "name": "a"}}]}
    with serving(Answer(body=listed), Answer(events=(event("ADDED", "b", "6"),))) as server:
        made = informer(server, heard, field_selector="spec.nodeName=n")
        made.start()

        assert [{"a": "a"}, ("b", "b")] == [heard.next(), heard.next()]
        assert ["0", "5"] == [asked.query["resourceVersion"] for asked in server.asked]
        assert [None, "true"] == [asked.query.get("watch") for asked in server.asked]
        assert ["spec.nodeName=n"] * 2 == [asked.query["fieldSelector"] for asked in server.asked]
        made.stop()


def test_what_a_list_leaves_out_a_watch_tells() -> None:
    """An object that leaves a watch's selection would be told as deleted, with its state from before."""
    heard = Heard()
    listed = {"metadata": {"resourceVersion": "5"}, "items": []}
    with serving(Answer(body=listed), Answer(events=())) as server:
        made = informer(server, heard, field_selector="spec.nodeName=n", list_only="status.phase!=Failed")
        made.start()
        heard.next()
        until(lambda: len(server.asked) == 2)

        assert ["spec.nodeName=n,status.phase!=Failed", "spec.nodeName=n"] == [
            asked.query["fieldSelector"] for asked in server.asked
        ]
        made.stop()


@pytest.mark.parametrize("few", ["", "spec.nodeName=n"])
def test_it_begins_anew_when_something_else_is_to_be_kept(few: str) -> None:
    """At once, with a whole list, although the stream is well; nothing is failing."""
    heard, kept = Heard(), ["first"]
    one = {"metadata": {"uid": "a", "name": "a"}}
    page = Answer(body={"metadata": {"resourceVersion": "5"}, "items": [one]})
    whole = Answer(events=(event("ADDED", "a", "1"), end_of_list("5")))
    answers = [page, Answer(events=())] * 2 if few else [whole] * 2
    with serving(*answers) as server:
        made = informer(server, heard, lambda _: kept[0], field_selector=few)
        made.start()
        assert {"a": "first"} == heard.next()
        kept[0] = "second"
        made.relist()

        assert {"a": "second"} == heard.next()
        assert "" == made.failing
        made.stop()


def test_an_expired_version_in_the_stream_starts_over() -> None:
    """With a new list, as the server can send it as an event of a good stream."""
    heard = Heard()
    expired = {"type": "ERROR", "object": status(410, "Expired", "too old")}
    first = Answer(events=(event("ADDED", "a", "1"), end_of_list("10"), expired))
    second = Answer(events=(event("ADDED", "b", "20"), end_of_list("21")))
    with serving(first, second) as server:
        made = informer(server, heard)
        made.start()

        assert [{"a": "a"}, {"b": "b"}] == [heard.next(), heard.next()]
        assert "resourceVersion" not in server.asked[1].query
        made.stop()


def test_a_server_without_watch_list_gives_pages() -> None:
    """And a watch from where they ended."""
    heard = Heard()
    refused = Answer(422, status(422, "Invalid", "sendInitialEvents: Forbidden"))
    first = {"metadata": {"resourceVersion": "5", "continue": "t"}, "items": [{"metadata": {"uid": "a", "name": "a"}}]}
    second = {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"uid": "b", "name": "b"}}]}
    watch = Answer(events=(event("ADDED", "c", "6"),))
    with serving(refused, Answer(body=first), Answer(body=second), watch) as server:
        made = informer(server, heard)
        made.start()

        assert [{"a": "a", "b": "b"}, ("c", "c")] == [heard.next(), heard.next()]
        assert [None, None, "t", None] == [asked.query.get("continue") for asked in server.asked]
        assert "5" == server.asked[3].query["resourceVersion"]
        made.stop()


def test_what_cannot_be_kept_is_said_and_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    """The thread lives on: nobody would be told anything without it."""
    heard = Heard()
    broken = iter([True, False])

    def keep(raw: dict[str, Any]) -> str:
        if next(broken):
            raise KeyError("spec")
        return name_of(raw)

    listed = Answer(events=(event("ADDED", "a", "1"), end_of_list("10")))
    with serving(listed, listed) as server:
        made = informer(server, heard, keep)
        made.start()

        assert {"a": "a"} == heard.next()
        assert "an event could not be handled: KeyError('spec')" in caplog.text
        made.stop()


def test_a_stopped_informer_asks_no_more() -> None:
    """Its stream is closed at once, though the server holds it open."""
    heard = Heard()
    with serving(Answer(events=(end_of_list("10"), bookmark("11")))) as server:
        made = informer(server, heard)
        made.start()
        heard.next()
        made.stop()
        made.join(10)

        assert 1 == len(server.asked)


def test_metadata_alone_is_asked_for_by_header() -> None:
    """In the words of the API server, which differ between a list and a watch."""
    heard = Heard()
    refused = Answer(400, status(400, "BadRequest", "no"))
    empty = Answer(body={"metadata": {"resourceVersion": "5"}, "items": None})
    with serving(refused, empty, Answer(events=(event("ADDED", "c", "6"),))) as server:
        connection = Connection(server.configuration)
        made = Informer(connection, "/api/v1/nodes", keep=name_of, handler=heard, metadata_only=True)
        made.start()

        assert [{}, ("c", "c")] == [heard.next(), heard.next()]
        kinds = [asked.headers["Accept"].split(";")[1] for asked in server.asked]
        assert ["as=PartialObjectMetadata", "as=PartialObjectMetadataList", "as=PartialObjectMetadata"] == kinds
        made.stop()


def test_a_quiet_collection_is_no_alarm(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The API server sends no bookmark before its first event: the watch is begun anew, and nothing is said."""
    monkeypatch.setattr(module, "_SILENCE", 0.1)
    heard = Heard()
    quiet = Answer(events=(end_of_list("10"),))
    with serving(quiet, Answer(events=(event("ADDED", "a", "11"),))) as server:
        made = informer(server, heard)
        made.start()

        assert [{}, ("a", "a")] == [heard.next(), heard.next()]
        assert ("", "10", "") == (made.failing, server.asked[1].query["resourceVersion"], caplog.text)
        made.stop()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(503, {"kind": "Status", "details": [1], "code": "soon", "reason": 5}),
        Answer(503, {"kind": "Status", "details": {"retryAfterSeconds": "soon", "causes": ["x"]}}),
        Answer(body=b"[" * 100_000),
        Answer(events=({"type": "ERROR", "object": [1]},)),
        Answer(events=(["x"],)),
        Answer(events=({"type": "ADDED"},)),
    ],
    ids=["types", "causes", "deep", "error", "list", "half"],
)
def test_no_answer_ends_its_thread(answer: Answer) -> None:
    """A proxy may say anything; what comes after it is told."""
    heard = Heard()
    with serving(answer, Answer(events=(end_of_list("10"),))) as server:
        made = informer(server, heard)
        made.start()

        assert {} == heard.next()
        made.stop()


def test_a_server_that_asks_for_years_does_not_end_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    """It waits for some minutes."""
    with serving(Answer(503, b"maintenance", {"Retry-After": "99999999999"})) as server:
        made = informer(server, Heard())
        made.start()
        made.join(1.0)

        assert not made.dead
        assert "again in 300." in caplog.text
        made.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_is_known() -> None:
    """As by a defect; one that was stopped is another thing, and so is one that never began."""

    class Defective(Heard):
        def replaced(self, objects: dict[str, str]) -> None:  # noqa: ARG002 - Handler's
            raise SystemExit

    with serving(Answer(events=(end_of_list("10"),)), Answer(events=(end_of_list("10"),))) as server:
        defective, stopped = informer(server, Defective()), informer(server, Heard())
        assert not defective.dead
        for each in (defective, stopped):
            each.start()
        stopped.stop()
        for each in (defective, stopped):
            each.join(10)

        assert (True, False) == (defective.dead, stopped.dead)
