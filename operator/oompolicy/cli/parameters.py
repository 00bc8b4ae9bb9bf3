# SPDX-License-Identifier: Apache-2.0
"""The types of parameters that click does not have, and the options that several commands have."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
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


def selection_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that select pods: `-n` as `namespace`, `-l` as `selector`, and `--policy`."""
    namespace = click.option("-n", "--namespace", metavar="NAME", help="Only the pods of this namespace.")
    selector = click.option(
        "-l", "--selector", type=SELECTOR, help="Only the pods with these labels, as in kubectl get -l."
    )
    policy = click.option("--policy", metavar="NAME", help="Only the pods to which this OOMPolicy gives the priority.")
    return namespace(selector(policy(function)))


def filename_option(content: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return the option `-f FILE`, which a user may repeat. `content` is its help."""
    kind = click.Path(path_type=Path)
    return click.option("-f", "--filename", multiple=True, type=kind, metavar="FILE", help=content)


def agents_option(*names: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return the option with the namespace of the agents. `names` are its names in the command."""
    return click.option(
        *names, default="oompolicy-system", show_default=True, metavar="NAME", help="The namespace of the agents."
    )
