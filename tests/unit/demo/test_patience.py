# SPDX-License-Identifier: Apache-2.0
"""The demo never stays silent for long."""

import threading
import time

import pytest

from demo.node.patience import patiently


def test_a_message_repeats_while_the_demo_is_silent() -> None:
    said = threading.Semaphore(0)

    with patiently(lambda _: said.release(), silence=0.05):
        assert said.acquire(timeout=10)
        assert said.acquire(timeout=10)


def test_output_is_passed_on_and_ends_the_silence(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with patiently(lambda _: None) as output:
        output.last = time.monotonic() - 9
        output.write(b"grown\n")
        output.flush()

        assert output.silent_for() < 9
    assert capfdbinary.readouterr().out == b"grown\n"
