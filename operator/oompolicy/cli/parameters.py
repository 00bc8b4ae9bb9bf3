# SPDX-License-Identifier: Apache-2.0
"""The types of parameters that click does not have."""

from typing import Final

import click

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
