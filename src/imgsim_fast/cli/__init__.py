"""The command line: ``imgsim index | search | compare | duplicates | evaluate | stats ...``.

Each command calls one public function and prints what it gives.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import TextIO

import click

from imgsim_fast import __version__, errors
from imgsim_fast.cli import collection, duplicates, evaluate, pair
from imgsim_fast.cli.options import CORRUPT, FAILED, GOOD, INTERRUPTED, LOCKED, PIPE_CLOSED, USAGE
from imgsim_fast.report.names import display_name

# \b keeps click from refilling the lines that follow.
_HELP = """Find similar images: by the Wasserstein (earth mover's) distance of their grey levels, or
by colours, structure, keypoints or embeddings with `--measure`.

\b
imgsim demo                                  see it work on 1,000 rendered images
imgsim index photos                          remember the images of a folder
imgsim search query.jpg photos               the most similar ones
imgsim search query.jpg photos --html a.html the same as a page to look at
imgsim compare a.jpg b.jpg --measure all     two images by all measures
imgsim duplicates photos                     groups of near-identical ones
imgsim evaluate photos --labels folder       how well a search finds its own folder
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="imgsim")
def cli() -> None:
    """Give the commands a name in common."""


for _command in (
    collection.index, collection.search, pair.compare, duplicates.duplicates, evaluate.evaluate,
    collection.stats, collection.verify, collection.demo,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = _run()
    try:
        if sys.stdout is not None:  # as with `imgsim ... >&-`
            sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    if code == PIPE_CLOSED:  # what is left in the buffer must not complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("always", errors.IndexWarning)
        warnings.showwarning = _show_warning
        return _invoke()


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    if issubclass(category, errors.IndexWarning):
        _complain(str(message), GOOD)
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        click.echo(text, err=True, nl=False)


def _invoke() -> int:
    try:
        # Not `cli.main`: it would turn a closed pipe into exit code 1.
        with cli.make_context("imgsim", sys.argv[1:]) as context:
            return int(cli.invoke(context) or GOOD)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        if where is not None:
            click.echo(where.get_usage(), err=True)
        return _complain(_message(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except errors.IndexLockedError as error:
        return _complain(str(error), LOCKED)
    except errors.IndexCorruptError as error:
        hint = "delete the index (the images stay) and make it again with `imgsim index`"
        return _complain(f"{error}; to repair it, {hint}", CORRUPT)
    except errors.IndexMismatchError as error:
        hint = (
            "another measure needs another index: imgsim index FOLDER --index PATH --measure NAME"
        )
        return _complain(f"{error}; {hint}", USAGE)
    except (errors.ImgsimError, FileExistsError) as error:
        return _complain(str(error), USAGE)
    except (OSError, MemoryError) as error:
        return _complain(str(error) or type(error).__name__, FAILED)
    except ValueError as error:
        if "IMGSIM_FAST_ISA" not in str(error):
            raise
        return _complain(str(error), USAGE)


def _message(error: click.ClickException) -> str:
    """Say what is wrong with the usage; options of measures have no flags of their own."""
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        from imgsim_fast.measures.registry import every_option

        name = error.option_name.lstrip("-").replace("-", "_")
        flags = {parameter.name for parameter in error.ctx.command.params}
        if "option" in flags and name in every_option():
            return f"{error.option_name} is an option of measures: --option {name}=VALUE"
    return error.format_message()


def _complain(text: str, code: int) -> int:
    click.echo(f"imgsim: {display_name(text)}", err=True)
    return code
