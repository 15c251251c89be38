"""The house keeps its shape: small modules, short functions, and imports that point down only."""

import ast
import io
import json
import re
import statistics
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "napari_medfm"
MODULES = sorted(PACKAGE.rglob("*.py"))
INTERFACE = ("_qt", "_napari", "_plugin")
INTERFACE_LIBRARIES = ("napari", "qtpy", "superqt", "magicgui", "vispy")

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(source):
    """Return the numbers of the lines that hold code: no blanks, comments or docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for token in tokens if token.type not in _NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    return lines - {line for node in ast.walk(ast.parse(source)) for line in docstring_lines(node)}


def docstring_lines(node):
    """Return the lines of every string that stands as a statement: docstrings, also of attributes."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return range(node.lineno, node.end_lineno + 1)
    return ()


def sizes(kinds):
    """Return (module, name, code lines) of every definition of some kinds of node in the package."""
    found = []
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        code = code_lines(source)
        found += [
            (
                path.relative_to(ROOT).as_posix(),
                node.name,
                len(code.intersection(range(node.lineno, node.end_lineno + 1))),
            )
            for node in ast.walk(ast.parse(source))
            if isinstance(node, kinds)
        ]
    return found


def run_python(code):
    """Run code in a fresh interpreter and return what it prints, read as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(contract["layers"] for contract in contracts if contract["type"] == "layers")


def test_code_lines_are_counted_without_blanks_comments_and_docstrings():
    source = '"""Doc\nstring."""\n\n# comment\nx = (\n    1,  # one\n)\ny = """text\nof two lines"""\n"""About y."""\n'
    assert code_lines(source) == {5, 6, 7, 8, 9}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_has_at_most_400_code_lines(path):
    size = len(code_lines(path.read_text(encoding="utf-8")))
    assert size <= 400


def test_a_class_has_at_most_250_code_lines():
    assert [found for found in sizes(ast.ClassDef) if found[2] > 250] == []


def test_the_median_function_has_at_most_7_code_lines():
    lengths = [length for _, _, length in sizes((ast.FunctionDef, ast.AsyncFunctionDef))]
    assert statistics.median(lengths) <= 7


def test_no_room_is_named_after_nothing():
    names = {part for path in MODULES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert names.isdisjoint({"utils", "util", "helpers", "common", "manager", "misc"})


def test_the_layers_in_the_readme_are_those_of_the_contract():
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Architecture", 1)[1]
    block = re.search(r"```text\n(.*?)```", section, re.DOTALL)
    assert block is not None
    assert block[1].splitlines() == layers()


def test_the_napari_manifest_at_the_root_is_a_link_to_the_one_that_ships():
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert link.resolve() == (PACKAGE / "napari.yaml").resolve(strict=True)


def test_importing_the_package_loads_neither_torch_nor_qt_nor_napari():
    loaded = run_python("import json, sys, napari_medfm; print(json.dumps(sorted(sys.modules)))")
    assert "napari_medfm" in loaded
    assert set(loaded).isdisjoint({"torch", "monai", "numpy", *INTERFACE_LIBRARIES})


def test_the_core_imports_where_neither_napari_nor_qt_exists():
    core = [name for name in map(module_name, MODULES) if name.split(".")[1:2] not in ([room] for room in INTERFACE)]
    assert "napari_medfm.cli" in core
    code = f"""
import importlib, json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {INTERFACE_LIBRARIES!r} or name.startswith(("PySide", "PyQt")):
            raise ModuleNotFoundError("blocked: " + name, name=name)

sys.meta_path.insert(0, Blocker())
for name in {core!r}:
    importlib.import_module(name)
print(json.dumps(len(sys.modules)))
"""
    assert run_python(code) > len(core)
