# SPDX-License-Identifier: Apache-2.0
"""The program says which version it is, suggests names, completes words, and uses colours at a terminal only."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from oompolicy.cli import main
from oompolicy.cli.program import COMMANDS, called
from tests.unit.policy.factories import raw_pod

ROOT = Path(__file__).parents[3]


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(raw_pod()))
    return file


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the name and the version of pyproject.toml."""
    assert 0 == main(["--version"])
    assert 'version = "0.1.0"' in (ROOT / "pyproject.toml").read_text()
    assert "oompolicy 0.1.0\n" == capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help begins with the usage."""
    assert 0 == main([command, "--help"])
    assert capsys.readouterr().out.startswith("Usage: ")


@pytest.mark.parametrize(
    ("words", "suggested"),
    [(["reslove"], "Did you mean 'resolve'?"), (["resolve", "--nod", "a"], "Did you mean '--node'?")],
)
def test_a_misspelt_word_gets_a_suggestion(
    words: list[str], suggested: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is that of wrong usage."""
    with pytest.raises(SystemExit) as caught:
        main(words)

    assert 2 == caught.value.code
    assert suggested in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_completes_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script asks the program itself."""
    assert 0 == main(["completion", shell])
    assert f"_OOMPOLICY_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_the_program_completes_the_name_of_a_command() -> None:
    """bash sets these variables and reads the words."""
    asked = {"_OOMPOLICY_COMPLETE": "bash_complete", "COMP_WORDS": "oompolicy res", "COMP_CWORD": "1"}
    path = {"PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run([sys.executable, "-m", "oompolicy"], env=asked | path, capture_output=True, check=True)

    assert b"plain,resolve\n" == done.stdout


def at_a_terminal(*words: str, **environment: str) -> str:
    """Run the program with a terminal as its standard output, and return the text that the terminal got."""
    reading, writing = pty.openpty()
    variables = {"PYTHONPATH": str(ROOT / "operator"), "TERM": "xterm-256color", **environment}
    with os.fdopen(writing, "wb") as terminal:
        subprocess.run([sys.executable, "-m", "oompolicy", *words], env=variables, stdout=terminal, check=True)
    with os.fdopen(reading, "rb") as screen:
        return screen.read1(1 << 16).decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_unless_no_color_is_set(pod: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text is the same in a pipe, on a terminal without colours, and without the escapes of the colours."""
    main(["resolve", str(pod)])
    plain = capsys.readouterr().out
    coloured = at_a_terminal("resolve", str(pod))

    assert plain == at_a_terminal("resolve", str(pod), NO_COLOR="1")
    assert "\x1b[31m200" in coloured
    assert "\x1b" not in plain


@pytest.mark.parametrize(
    ("path", "name"),
    [("/usr/bin/kubectl-oom", "kubectl oom"), ("kubectl-oom.pyz", "kubectl oom"), ("/bin/oompolicy", "oompolicy")],
)
def test_messages_have_the_name_by_which_the_program_was_called(path: str, name: str) -> None:
    """kubectl starts the plugin by its file name."""
    assert name == called(path)


def test_an_installation_without_the_libraries_says_what_to_install() -> None:
    """The images of operator and agent have the script, but not the libraries of the command line."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'operator')!r}); from oompolicy.cli import main; sys.exit(main())"
    )
    # Without the module site, Python finds no installed package.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)

    assert (2, "") == (done.returncode, done.stdout)
    assert "oompolicy: not installed: click, kubernetes, rich. Run: pipx install 'oompolicy[cli]'\n" == done.stderr


def test_a_terminal_sees_the_progress_of_a_read(pod: Path) -> None:
    """The progress is on standard error, and removed at the end. A file has none of it."""
    reading, writing = pty.openpty()
    variables = {"PYTHONPATH": str(ROOT / "operator"), "TERM": "xterm-256color", "COLUMNS": "400"}
    command = [sys.executable, "-m", "oompolicy", "lint", str(pod)]
    with os.fdopen(writing, "wb") as terminal:
        subprocess.run(command, env=variables, stderr=terminal, check=True)
    with os.fdopen(reading, "rb") as screen:
        shown = screen.read1(1 << 16).decode()
    quiet = subprocess.run(command, env=variables, capture_output=True, check=True)

    assert "reading" in shown
    assert b"" == quiet.stderr
