"""The command ``imgsim``: outside the package, so that it runs before NumPy is imported.

Importing takes most of the time of a short command, and Ctrl-C then is to end it as at any other
moment: quietly, with exit code 130. An exception would not do: NumPy and others turn one that comes
in the middle of their imports into an ImportError, or into text on standard error.
"""

import os
import signal

_INTERRUPTED = 130  # cli.options.INTERRUPTED


def main() -> None:
    """Run the command line; Ctrl-C while it is loaded ends it like any later one."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else somebody wants it otherwise
        signal.signal(signal.SIGINT, lambda *_: _leave())
    try:
        from imgsim_fast.cli import main as run

        signal.signal(signal.SIGINT, before)
        run()
    except KeyboardInterrupt:
        _leave()


def _leave() -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(_INTERRUPTED)  # nothing has been begun that needs an end
