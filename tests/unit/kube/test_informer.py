# SPDX-License-Identifier: Apache-2.0
"""The informer's thread sends the requests of `following`, over connections that break on purpose."""

from __future__ import annotations

import time
from itertools import islice
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube import connection as connection_module
from oompolicy.kube.connection import Connection
from oompolicy.kube.errors import SilentError
from oompolicy.kube.informer import Informer
from oompolicy.kube.stream import Stream
from tests.unit.kube.server import Answer, Server, serving, status
from tests.unit.kube.test_following import bookmark, end_of_list, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import urllib3


class Recorder:
    """A handler that records its calls in a queue for the test's thread."""

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
    recorder: Recorder,
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
        handler=recorder,
        field_selector=field_selector,
        list_only=list_only,
        label_selector=label_selector,
    )


def test_list_and_events_reach_the_handler() -> None:
    """The selector is part of the query."""
    recorder = Recorder()
    events = (event("ADDED", "a", "1"), end_of_list("10"), event("ADDED", "b", "11"), event("DELETED", "a", "12"))
    with serving(Answer(events=events)) as server:
        made = informer(server, recorder, label_selector="app=db")
        made.start()

        assert [{"a": "a"}, ("b", "b"), ("a", None)] == [recorder.next() for _ in range(3)]
        assert made.synced is True
        assert made.failing is None
        assert "app=db" == server.asked[0].query["labelSelector"]
        made.stop()


def test_with_a_field_selector_the_first_request_is_a_list() -> None:
    """The API server answers the list from an index. The list and the watch have the selector."""
    recorder = Recorder()
    listed = {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"uid": "a", "name": "a"}}]}
    with serving(Answer(body=listed), Answer(events=(event("ADDED", "b", "6"),))) as server:
        made = informer(server, recorder, field_selector="spec.nodeName=n")
        made.start()

        assert [{"a": "a"}, ("b", "b")] == [recorder.next(), recorder.next()]
        assert ["0", "5"] == [asked.query["resourceVersion"] for asked in server.asked]
        assert [None, "true"] == [asked.query.get("watch") for asked in server.asked]
        assert ["spec.nodeName=n"] * 2 == [asked.query["fieldSelector"] for asked in server.asked]
        made.stop()


def test_a_watch_does_not_use_the_selector_of_lists() -> None:
    """An object that leaves the selection of a watch would be reported as deleted, with its previous state."""
    recorder = Recorder()
    listed = {"metadata": {"resourceVersion": "5"}, "items": []}
    with serving(Answer(body=listed), Answer(events=())) as server:
        made = informer(server, recorder, field_selector="spec.nodeName=n", list_only="status.phase!=Failed")
        made.start()
        recorder.next()
        until(lambda: len(server.asked) == 2)

        assert ["spec.nodeName=n,status.phase!=Failed", "spec.nodeName=n"] == [
            asked.query["fieldSelector"] for asked in server.asked
        ]
        made.stop()


@pytest.mark.parametrize("few", ["", "spec.nodeName=n"])
def test_relist_requests_a_complete_list_at_once(few: str) -> None:
    """The stream is healthy, so nothing is failing."""
    recorder, kept = Recorder(), ["first"]
    one = {"metadata": {"uid": "a", "name": "a"}}
    page = Answer(body={"metadata": {"resourceVersion": "5"}, "items": [one]})
    whole = Answer(events=(event("ADDED", "a", "1"), end_of_list("5")))
    answers = [page, Answer(events=())] * 2 if few else [whole] * 2
    with serving(*answers) as server:
        made = informer(server, recorder, lambda _: kept[0], field_selector=few)
        made.start()
        assert {"a": "first"} == recorder.next()
        kept[0] = "second"
        made.relist()

        assert {"a": "second"} == recorder.next()
        assert made.failing is None
        made.stop()


def test_an_expired_version_in_the_stream_causes_a_list() -> None:
    """The server can send the expiry as an event of an accepted stream."""
    recorder = Recorder()
    expired = {"type": "ERROR", "object": status(410, "Expired", "too old")}
    first = Answer(events=(event("ADDED", "a", "1"), end_of_list("10"), expired))
    second = Answer(events=(event("ADDED", "b", "20"), end_of_list("21")))
    with serving(first, second) as server:
        made = informer(server, recorder)
        made.start()

        assert [{"a": "a"}, {"b": "b"}] == [recorder.next(), recorder.next()]
        assert "resourceVersion" not in server.asked[1].query
        made.stop()


def test_a_server_without_watch_list_is_read_in_pages() -> None:
    """The watch resumes at the version of the pages."""
    recorder = Recorder()
    refused = Answer(422, status(422, "Invalid", "sendInitialEvents: Forbidden"))
    first = {"metadata": {"resourceVersion": "5", "continue": "t"}, "items": [{"metadata": {"uid": "a", "name": "a"}}]}
    second = {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"uid": "b", "name": "b"}}]}
    watch = Answer(events=(event("ADDED", "c", "6"),))
    with serving(refused, Answer(body=first), Answer(body=second), watch) as server:
        made = informer(server, recorder)
        made.start()

        assert [{"a": "a", "b": "b"}, ("c", "c")] == [recorder.next(), recorder.next()]
        assert [None, None, "t", None] == [asked.query.get("continue") for asked in server.asked]
        assert "5" == server.asked[3].query["resourceVersion"]
        made.stop()


def test_an_exception_of_keep_is_logged_and_the_list_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """The thread does not end, because the handler needs its later calls."""
    recorder = Recorder()
    broken = iter([True, False])

    def keep(raw: dict[str, Any]) -> str:
        if next(broken):
            raise KeyError("spec")
        return name_of(raw)

    listed = Answer(events=(event("ADDED", "a", "1"), end_of_list("10")))
    with serving(listed, listed) as server:
        made = informer(server, recorder, keep)
        made.start()

        assert {"a": "a"} == recorder.next()
        assert "an event could not be handled: KeyError('spec')" in caplog.text
        made.stop()


def test_a_stopped_informer_sends_no_request() -> None:
    """Its stream is closed at once, although the server keeps it open."""
    recorder = Recorder()
    with serving(Answer(events=(end_of_list("10"), bookmark("11")))) as server:
        made = informer(server, recorder)
        made.start()
        recorder.next()
        made.stop()
        made.join(10)

        assert 1 == len(server.asked)


def test_metadata_only_sets_the_accept_header() -> None:
    """The header differs between a list and a watch."""
    recorder = Recorder()
    refused = Answer(400, status(400, "BadRequest", "no"))
    empty = Answer(body={"metadata": {"resourceVersion": "5"}, "items": None})
    with serving(refused, empty, Answer(events=(event("ADDED", "c", "6"),))) as server:
        connection = Connection(server.configuration)
        made = Informer(connection, "/api/v1/nodes", keep=name_of, handler=recorder, metadata_only=True)
        made.start()

        assert [{}, ("c", "c")] == [recorder.next(), recorder.next()]
        kinds = [asked.headers["Accept"].split(";")[1] for asked in server.asked]
        assert ["as=PartialObjectMetadata", "as=PartialObjectMetadataList", "as=PartialObjectMetadata"] == kinds
        made.stop()


class SilentStream(Stream):
    """A stream that the server leaves silent after its first event, for longer than an informer waits."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from islice(super().__iter__(), 1)
        raise SilentError("the stream is silent")


def test_a_quiet_collection_is_no_failure(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The API server sends no bookmark before its first event. The watch is renewed, and nothing is logged.

    The silence is not a time here: a short one would also end a watch whose answer comes late. test_connection.py has
    the time.
    """
    recorder = Recorder()
    kinds = [SilentStream, Stream]

    def first_silent(response: urllib3.BaseHTTPResponse) -> Stream:
        return kinds.pop(0)(response)

    monkeypatch.setattr(connection_module, "Stream", first_silent)
    quiet = Answer(events=(end_of_list("10"),))
    with serving(quiet, Answer(events=(event("ADDED", "a", "11"),))) as server:
        made = informer(server, recorder)
        made.start()

        assert [{}, ("a", "a")] == [recorder.next(), recorder.next()]
        assert made.failing is None
        assert "10" == server.asked[1].query["resourceVersion"]
        assert "" == caplog.text
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
def test_no_answer_ends_the_thread(answer: Answer) -> None:
    """A proxy may answer anything. The next complete list reaches the handler."""
    recorder = Recorder()
    with serving(answer, Answer(events=(end_of_list("10"),))) as server:
        made = informer(server, recorder)
        made.start()

        assert {} == recorder.next()
        made.stop()


def test_a_retry_after_of_years_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """The wait is limited to some minutes."""
    with serving(Answer(503, b"maintenance", {"Retry-After": "99999999999"})) as server:
        made = informer(server, Recorder())
        made.start()
        made.join(1.0)

        assert not made.dead
        assert "Retrying in 300." in caplog.text
        made.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_only_a_thread_that_died_is_dead() -> None:
    """A thread that was stopped or never started is not dead."""

    class Defective(Recorder):
        def replaced(self, objects: dict[str, str]) -> None:  # noqa: ARG002 - Handler's
            raise SystemExit

    with serving(Answer(events=(end_of_list("10"),)), Answer(events=(end_of_list("10"),))) as server:
        defective, stopped = informer(server, Defective()), informer(server, Recorder())
        assert not defective.dead
        for each in (defective, stopped):
            each.start()
        stopped.stop()
        for each in (defective, stopped):
            each.join(10)

        assert defective.dead is True
        assert stopped.dead is False
