"""The commands that CI and developers run: ``nox --list``."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests"]
ISAS = ("baseline", "avx2", "avx512")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the suite on the fastest instruction set, or on those named after ``--``."""
    session.install(".[test]")
    for isa in session.posargs or [""]:
        session.run("pytest", env={"IMGSIM_FAST_ISA": isa})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types."""
    session.install(".[test]", "--group", "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("cython-lint", "src")
    files = session.run("git", "ls-files", "*.cpp", "*.hpp", external=True, silent=True)
    session.run("clang-format", "--dry-run", "-Werror", *str(files).split())


@nox.session
def bench(session: nox.Session) -> None:
    """Time ours and the peers side by side."""
    session.install(".[bench]")
    session.run("python", "-m", "benchmarks.compare", *session.posargs)


@nox.session
def sanitize(session: nox.Session) -> None:
    """Run the C++ self check under the sanitizers."""
    session.install("cmake", "ninja")
    for preset in ("dev", "asan", "tsan"):
        session.run("cmake", "--preset", preset)
        session.run("cmake", "--build", "--preset", preset)
        session.run("ctest", "--preset", preset)


@nox.session
def dist(session: nox.Session) -> None:
    """Build the sdist and, from it, the wheel; check what they contain."""
    session.install("build")
    session.run("python", ".ci/check_dist.py")
