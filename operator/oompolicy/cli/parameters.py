# SPDX-License-Identifier: Apache-2.0
"""The types of parameters that click does not have, and the option that several commands have."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import click

from oompolicy.cli.times import parse_duration
from oompolicy.model import LabelSelector
from oompolicy.parse.selectortext import parse_selector


class _Selector(click.ParamType[LabelSelector]):
    name = "selector"

    def convert(
        self, value: str | LabelSelector, param: click.Parameter | None, ctx: click.Context | None
    ) -> LabelSelector:
        if isinstance(value, LabelSelector):
            return value
        try:
            return parse_selector(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SELECTOR: Final = _Selector()
"""A label selector such as `app=web,!legacy`."""


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION: Final = _Duration()
"""A duration such as `24h`."""


def output_option(function: Callable[..., int]) -> Callable[..., int]:
    """Add `-o` with the formats of all commands that print objects."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "wide", "json", "yaml", "name"]),
        default="table",
        show_default=True,
        help="wide: with more columns.",
    )(function)
