"""The command ``imgsim``, which ``python -m imgsim_fast`` is too."""

from __future__ import annotations

import contextlib
import os


def main() -> None:
    """Run the command line; Ctrl-C while it is loaded ends it like any later one."""
    try:
        from imgsim_fast.cli import main as run

        run()
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            os.write(2, b"interrupted\n")
        os._exit(130)  # cli.options.INTERRUPTED; nothing has been begun that needs an end


if __name__ == "__main__":
    main()
