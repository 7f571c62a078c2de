"""``python -m imgsim_fast`` is the command ``imgsim``."""

from imgsim_fast.cli import main

main()
