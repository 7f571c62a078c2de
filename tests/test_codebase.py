"""Rules of the house that a reader could only hope for: layers, names, sizes, versions, symbols."""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest

import imgsim_fast as isf
from imgsim_fast import _core

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "imgsim_fast"

pytestmark = pytest.mark.skipif(not PACKAGE.is_dir(), reason="not in a source tree")


def files(folder, *suffixes):
    found = [
        path
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes and not {"__pycache__", ".mypy_cache"} & set(path.parts)
    ]
    assert found or folder == "benchmarks", f"no {suffixes} in {folder}"
    return found


def named(path):
    return str(path.relative_to(ROOT))


# ---- C++ layers ------------------------------------------------------------------------------

CPP = files("csrc", ".hpp", ".cpp")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


@pytest.mark.parametrize("path", CPP, ids=named)
def test_core_never_sees_python(path):
    for header in INCLUDE.findall(path.read_text()):
        assert not re.search(r"python|numpy|pybind|cython|nanobind|opencv", header, re.IGNORECASE)


@pytest.mark.parametrize("path", CPP, ids=named)
def test_arrows_between_cpp_folders(path):
    folder = path.parent.name
    for header in INCLUDE.findall(path.read_text()):
        if folder == "imgsim":  # the contract shows nothing of the bodies
            assert not header.startswith(("kernels/", "src/")), header
        if folder == "kernels":
            if path.name == "dispatch.cpp":  # the choice of the table, compiled without flags
                continue
            allowed = {"cstddef", "cstdint"}
            assert header in allowed or header.startswith("kernels/"), header
        assert not header.startswith("checks/"), header


def test_kernel_tables_have_no_flags_of_their_own():
    """Flags of an instruction set belong to its kernel file alone."""
    text = (ROOT / "csrc" / "CMakeLists.txt").read_text() + (ROOT / "CMakeLists.txt").read_text()
    assert "-march=native" not in text.replace("no -march=native", "")
    assert not re.search(r"(?<!no )-?-ffast-math|-Ofast", text)
    for line in text.splitlines():
        if re.search(r"-mavx|/arch:", line):
            assert "imgsim_add_kernel(" in line, line


# ---- Python layers ---------------------------------------------------------------------------

# From the bottom to the top. A module imports lower layers or its own, never a higher one.
LAYERS = (
    {"errors"},
    {"_core", "_extras", "_threads", "_pillow", "orientation"},
    {"_validate", "_memory", "rows"},
    {"_ground"},
    {"histogram", "sparse_histogram", "comparison", "wasserstein", "transport", "pairwise", "knn"},
    {"barycenter", "color_transfer", "evaluation", "labels", "palette", "resize", "shards", "ssim"},
    {"compat", "images", "sklearn"},
    {"folders", "descriptors"},
    {"measures"},
    {"index"},
    {"report", "demo"},
    {"", "cli"},  # "" is imgsim_fast/__init__.py
    {"__main__"},
)
LAYER = {name: rank for rank, names in enumerate(LAYERS) for name in names}

MODULES = files("src/imgsim_fast", ".py")


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path):
    """Dotted names of the package's modules that a file imports, anywhere in it."""
    known = {module_name(other) for other in MODULES} | {"_core"}
    package = ("imgsim_fast." + module_name(path)).rstrip(".").split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "imgsim_fast" or alias.name.startswith("imgsim_fast."):
                    yield alias.name[12:]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], *base.split(".")])
            base = base.rstrip(".")
            if base != "imgsim_fast" and not base.startswith("imgsim_fast."):
                continue
            for alias in node.names:
                inner = f"{base}.{alias.name}"[12:]
                yield inner if inner in known else base[12:]


def test_every_module_has_a_layer():
    assert {module_name(path).split(".")[0] for path in MODULES} <= set(LAYER)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_python_arrows_point_down(path):
    own = module_name(path)
    rank = LAYER[own.split(".")[0]]
    for other in imported(path):
        top = other.split(".")[0]
        assert LAYER[top] <= rank, f"{own or '__init__'} imports {other or 'the whole package'}"
        assert own != "errors", f"errors imports {other}"
        if top == "compat":
            assert own.split(".")[0] in ("compat", ""), f"{own} imports a drop-in"


def test_python_modules_do_not_import_in_circles():
    graph = {}
    for path in MODULES:
        own = module_name(path)
        if own:  # __init__ is imported by all and imports all
            graph[own] = {o for o in imported(path) if o not in ("", own)}
    for own, others in graph.items():
        # A package's face imports its modules; that a module imports its package is not counted.
        others -= {own.rpartition(".")[0]}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


FOREIGN = {"cv2", "ot", "scipy", "faiss", "skimage", "sklearn", "joblib", "torch", "matplotlib"}
RUNTIME = {"numpy", "PIL", "click", "rich", "jinja2", "imgsim_fast", "imgsim_fast_command"}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_declared_packages_are_imported(path):
    tree = ast.parse(path.read_text())
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {node.module.split(".")[0]}
        else:
            continue
        assert "cv2" not in names, "no part needs OpenCV"
        foreign = names - RUNTIME - set(sys.stdlib_module_names)
        assert foreign <= FOREIGN, f"{foreign} is no dependency"
        assert not (foreign and id(node) in at_top), f"{foreign} must be imported where it is used"


def test_import_needs_no_image_library():
    """Whoever only has arrays waits for NumPy alone."""
    program = (
        "import sys, imgsim_fast as isf; isf.wasserstein_1d([1, 2], [2, 1]);"
        "print(*{n.split('.')[0] for n in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"PIL", "sqlite3", "click", "rich", "jinja2", *FOREIGN}


# ---- the core's types ------------------------------------------------------------------------


def stub():
    """{name: parameter names, or None for a class or constant} of _core.pyi."""
    names = {}
    for node in ast.parse((PACKAGE / "_core.pyi").read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = [argument.arg for argument in node.args.args]
        elif isinstance(node, ast.ClassDef):
            names[node.name] = None
        elif isinstance(node, ast.AnnAssign):
            names[node.target.id] = None
    return names


def test_stub_names_are_those_of_the_build():
    public = {
        name
        for name in dir(_core)
        if not name.startswith("_") and not inspect.ismodule(getattr(_core, name))
    }
    assert set(stub()) == public


def test_stub_parameters_are_those_of_the_build():
    compared = 0
    for name, parameters in stub().items():
        if parameters is not None:
            assert list(inspect.signature(getattr(_core, name)).parameters) == parameters, name
            compared += 1
    assert compared > 10


def test_stub_attributes_are_those_of_the_build():
    for node in ast.parse((PACKAGE / "_core.pyi").read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name in (
            "Axis",
            "Metric",
            "Ground",
            "Signatures",
            "SsimRule",
        ):
            for item in node.body:
                name = item.target.id if isinstance(item, ast.AnnAssign) else item.name
                assert hasattr(getattr(_core, node.name), name), f"{node.name}.{name}"


# ---- versions, sizes, text -------------------------------------------------------------------


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cmake = re.search(
        r"project\(imgsim_fast VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text()
    )
    assert project["version"] == isf.__version__
    assert cmake[1] == re.match(r"[\d.]+\d", isf.__version__)[0]


SOURCES = [
    path
    for folder in ("csrc", "src", "tests", "benchmarks")
    for path in files(
        folder, ".py", ".pyx", ".pxi", ".pyi", ".pxd", ".hpp", ".cpp", ".txt", ".j2", ".css"
    )
]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_files_stay_short(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 600, f"{lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_sources_are_ascii(path):
    """What people read may be in any script: strings and templates. Code and comments are not."""
    data = path.read_bytes()
    if data.isascii() or path.suffix == ".j2":
        return
    assert path.suffix == ".py", "only string literals of Python may hold other letters"
    middle = getattr(tokenize, "FSTRING_MIDDLE", None)
    for token in tokenize.generate_tokens(io.StringIO(data.decode()).readline):
        if token.type not in (tokenize.STRING, middle):
            assert token.string.isascii(), f"line {token.start[0]}: {token.string!r}"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_text_is_tidy(path):
    text = path.read_text(encoding="utf-8")
    assert "\r" not in text
    assert "\t" not in text
    assert not re.search(r"[ ]+$", text, re.MULTILINE), "spaces at the end of a line"
    assert text.endswith("\n") or not text
    assert not text.endswith("\n\n")


@pytest.mark.parametrize("path", [p for p in CPP if p.suffix == ".hpp"], ids=named)
def test_headers_are_included_once(path):
    assert "#pragma once" in path.read_text() or path.name == "export-inl.hpp"


def test_contract_headers_are_short():
    for path in files("csrc/imgsim", ".hpp"):
        assert path.read_text().count("\n") <= 130, path.name


# ---- documentation ---------------------------------------------------------------------------


# Integers have no docstring of their own.
@pytest.mark.parametrize("name", [name for name in isf.__all__ if not name.startswith("DIST_")])
def test_public_names_are_documented(name):
    thing = getattr(isf, name)
    check_docstring(name, thing)
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            if not member.startswith("_") and (
                inspect.isroutine(value) or isinstance(value, property)
            ):
                assert inspect.getdoc(getattr(thing, member)), f"{name}.{member} has no docstring"


def check_docstring(name, thing):
    doc = inspect.getdoc(thing)
    assert doc, f"{name} has no docstring"
    first = doc.splitlines()[0]
    assert first.endswith((".", ":")), f"{name}: the first line is no sentence: {first!r}"
    if not inspect.isfunction(thing):
        return
    signature = inspect.signature(thing)
    if signature.parameters:
        assert "Parameters\n----------" in doc, f"{name} does not explain its parameters"
        section = doc.split("Parameters\n----------")[1]
        for parameter in signature.parameters:
            assert re.search(rf"\b{parameter}\b", section), f"{name} does not explain {parameter}"
    if signature.return_annotation not in (None, "None"):
        assert re.search(r"(Returns|Yields)\n-------", doc), f"{name}: what does it return?"


def test_public_names_stay_what_they_are():
    """A submodule of the same name must not take a function's place once it is imported."""
    program = """
import importlib, pkgutil, inspect
import imgsim_fast as isf
for found in pkgutil.walk_packages(isf.__path__, "imgsim_fast."):
    if not found.name.endswith(".__main__"):
        importlib.import_module(found.name)
for name in isf.__all__:
    if inspect.ismodule(getattr(isf, name)) and name not in ("compat", "errors"):
        print(name, end=" ")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", f"modules instead of functions: {done.stdout}"


def test_errors_say_what_they_are():
    errors = importlib.import_module("imgsim_fast.errors")
    for name in errors.__all__:
        kind = getattr(errors, name)
        if name.endswith("Warning"):
            assert issubclass(kind, Warning)
            continue
        assert issubclass(kind, errors.ImgsimError)
        assert kind is errors.ImgsimError or any(
            base.__module__ == "builtins" and base is not Exception for base in kind.__mro__[1:-3]
        ), f"{name} is no built-in error as well"


# ---- symbols of the kernels ------------------------------------------------------------------


def kernel_flags():
    """{file stem: flags} as csrc/CMakeLists.txt gives them to gcc and clang."""
    text = (ROOT / "csrc" / "CMakeLists.txt").read_text()
    flags = {"baseline": []}
    for isa, given in re.findall(r"imgsim_add_kernel\((\w+)((?: -m[\w=-]+)+)\)", text):
        flags[isa] = given.split()
    return flags


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_kernels_export_one_strong_symbol(isa, tmp_path):
    """An inline function compiled for AVX-512 must not be the copy that the linker keeps."""
    if shutil.which("g++") is None or shutil.which("nm") is None:
        if os.environ.get("CI"):
            pytest.fail("g++ and nm are needed")
        pytest.skip("g++ or nm is missing")
    flags = kernel_flags()
    assert set(flags) == {"baseline", "avx2", "avx512"}
    if isa != "baseline" and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("another processor family")
    target = tmp_path / "kernel.o"
    source = ROOT / "csrc" / "kernels" / f"{isa}.cpp"
    subprocess.run(
        ["g++", "-std=c++17", "-O1", "-fPIC", "-ffp-contract=off", "-fno-math-errno", *flags[isa],
         "-I", str(ROOT / "csrc"), "-c", str(source), "-o", str(target)],
        check=True,
    )  # fmt: skip
    listed = subprocess.run(["nm", "-C", str(target)], check=True, capture_output=True, text=True)
    symbols = [line.split(None, 2) for line in listed.stdout.splitlines()]
    symbols = [(row[-2], row[-1]) for row in (line[-2:] for line in symbols)]
    weak = [name for kind, name in symbols if kind in "WVuwv"]
    assert not weak
    strong = [name for kind, name in symbols if kind.isupper() and kind != "U"]
    assert strong == [f"imgsim::kernels_{isa}"]
    needed = {name for kind, name in symbols if kind == "U"}
    assert needed <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
