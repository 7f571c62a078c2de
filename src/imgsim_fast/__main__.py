"""``python -m imgsim_fast`` is the command ``imgsim``."""

from imgsim_fast_command import main

if __name__ == "__main__":
    main()
