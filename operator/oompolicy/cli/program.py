# SPDX-License-Identifier: Apache-2.0
"""The program with its commands. A command's module is imported when the command runs."""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Final

import click

COMMANDS: Final = ("completion", "explain", "lint", "mode", "nodes", "order", "preflight", "resolve", "victims")
COMPLETE: Final = "_OOMPOLICY_COMPLETE"
"""The variable with which a shell asks the program for completions."""
EPILOG: Final = "Exit status: 0 success, 1 a problem with the input or the cluster, 2 wrong usage."
_PLUGIN: Final = "kubectl-oom"


class _Program(click.Group):
    """A group whose commands are the modules of `COMMANDS`. `resolve` does not load the client of `nodes`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"oompolicy.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. The error for a misspelt name suggests similar ones."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)


@click.command(cls=_Program, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("oompolicy"), message="oompolicy %(version)s")
def program() -> None:
    """Show which pods the kernel's OOM killer kills first."""


def run(argv: Sequence[str] | None) -> int:
    """Run one command and return its exit status. Raise `SystemExit` with status 2 for wrong usage."""
    words = None if argv is None else list(argv)
    # A command ends soon, and objects of the API have no cycles. For 2,000 pods the collector takes half of the time.
    gc.disable()
    try:
        status = program.main(words, prog_name=called(sys.argv[0]), complete_var=COMPLETE, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.UsageError):
            raise SystemExit(error.exit_code) from error
        return error.exit_code
    except click.Abort:
        return 130
    finally:
        gc.enable()
    return int(status or 0)


def called(path: str) -> str:
    """Return the name of the program in messages. kubectl starts the file `kubectl-oom` for `kubectl oom`."""
    return "kubectl oom" if Path(path).name.startswith(_PLUGIN) else "oompolicy"
