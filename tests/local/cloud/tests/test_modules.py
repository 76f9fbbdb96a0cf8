"""The modules of the cloud: no import cycles, and a docstring in each module."""

import ast
import sys

import pytest
from conftest import FOLDER

MODULES = {
    ".".join(path.relative_to(FOLDER).with_suffix("").parts): ast.parse(path.read_text())
    for path in FOLDER.rglob("*.py")
    if path.relative_to(FOLDER).parts[0] != "tests"
}


def imported(tree: ast.Module) -> set[str]:
    """The modules of the cloud that a module imports, at any level."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & MODULES.keys()


def test_imports_have_no_cycle():
    graph = {name: imported(tree) for name, tree in MODULES.items()}
    visited: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in visited:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            visited.add(name)

    for name in graph:
        visit(name, ())
    assert graph["server.lifecycle"], "the graph is empty"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_each_module_has_a_docstring(name):
    assert ast.get_docstring(MODULES[name]), name


def test_no_package_has_the_name_of_a_standard_library_module():
    assert not {name.partition(".")[0] for name in MODULES} & sys.stdlib_module_names


def test_every_correction_is_installed():
    corrections = ast.unparse(MODULES["server.corrections"])
    installable = {
        name for name, tree in MODULES.items() if any(getattr(node, "name", "") == "install" for node in tree.body)
    }
    installed = imported(MODULES["server.corrections"])
    missing = [name for name in installable - {"server.corrections"} if name not in installed]
    assert not missing and "CORRECTIONS" in corrections
