# SPDX-License-Identifier: Apache-2.0
"""The command `completion`, which prints a script for a shell."""

import click
from click.shell_completion import get_completion_class

from oompolicy.cli.printing import write
from oompolicy.cli.program import COMPLETE, program


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script that completes commands and flags in SHELL.

    \b
    bash: source <(oompolicy completion bash)
    zsh:  source <(oompolicy completion zsh)
    fish: oompolicy completion fish | source
    """  # noqa: D301 - click does not wrap the paragraph after this character
    made = get_completion_class(shell)
    if made is None:
        raise click.ClickException(f"click has no completion for {shell}")
    write(made(program, {}, "oompolicy", COMPLETE).source() + "\n")
    return 0
