"""The modules of the cloud: none imports itself through others, and each says what it is."""

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
    """The modules of the cloud that a module imports, wherever in its text."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & MODULES.keys()


def test_no_module_imports_itself_through_others():
    graph = {name: imported(tree) for name, tree in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
    assert graph["server.lifecycle"], "the graph is empty"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_each_module_has_a_docstring(name):
    assert ast.get_docstring(MODULES[name]), name


def test_no_package_hides_a_module_of_python():
    assert not {name.partition(".")[0] for name in MODULES} & sys.stdlib_module_names


def test_every_correction_is_installed():
    corrections = ast.unparse(MODULES["server.corrections"])
    installed = {name for name, tree in MODULES.items() if any(getattr(node, "name", "") == "install" for node in tree.body)}
    missing = [name for name in installed - {"server.corrections"} if name not in imported(MODULES["server.corrections"])]
    assert not missing and "CORRECTIONS" in corrections
