"""Print one of the two Quick-start lines of README.md: ``readme_line.py 1`` or ``2``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

text = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
section = text.split("## Quick start", 1)[1].split("\n## ", 1)[0]
lines = [
    line
    for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
if len(lines) != 2:
    sys.exit(f"README: the Quick start must have exactly two shell lines, it has {len(lines)}")
print(lines[int(sys.argv[1]) - 1])
