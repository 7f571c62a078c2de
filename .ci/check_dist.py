"""Build the sdist, the wheel from the sdist, and check what both contain."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tracked(*patterns: str) -> set[str]:
    """Return the files git tracks that match."""
    found = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


def main() -> None:
    """Fail with the difference between what is there and what should be."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([sys.executable, "-m", "build", "--outdir", out, ROOT], check=True)
        (sdist,) = Path(out).glob("*.tar.gz")
        (wheel,) = Path(out).glob("*.whl")
        with tarfile.open(sdist) as archive:
            inside = {
                member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()
            }
        needed = tracked("csrc", "src", "tests", "CMakeLists.txt", "pyproject.toml", "README.md")
        needed |= {"LICENSE", "CHANGELOG.md"}
        unwanted = {name for name in inside if name.split("/")[0] in {".ci", ".github", "build"}}
        expect(needed - inside, "missing from the sdist")
        expect(unwanted, "not wanted in the sdist")
        expect({n for n in inside if n.endswith((".jpg", ".npz"))}, "data in the sdist")

        with zipfile.ZipFile(wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
            metadata = {Path(name).name for name in archive.namelist()} - {
                Path(name).name for name in names
            }
        sources = tracked("src")
        python = {
            name.removeprefix("src/")
            for name in sources
            if not name.endswith((".pyx", ".pxd", ".pxi"))
        }
        compiled = {name for name in names if name.startswith("imgsim_fast/_core.")} - python
        expect(python - names, "missing from the wheel")
        expect(names - python - compiled, "not wanted in the wheel")
        expect({"LICENSE", "METADATA", "entry_points.txt"} - metadata, "missing metadata")
        if len(compiled) != 1:
            sys.exit(f"the wheel must hold one extension, it holds {sorted(compiled)}")
        size = wheel.stat().st_size
        if size > 2_000_000:
            sys.exit(f"the wheel has {size} bytes, more than 2 MB")
        print(f"sdist: {len(inside)} files, wheel: {len(names)} files, {size / 1e3:.0f} kB")


def expect(names: set[str], what: str) -> None:
    """Exit unless the set is empty."""
    if names:
        sys.exit(f"{what}: {', '.join(sorted(names))}")


if __name__ == "__main__":
    main()
