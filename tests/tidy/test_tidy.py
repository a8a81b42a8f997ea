"""The tree keeps the rules of tests/tidy/rules.py."""

import ast
from collections.abc import Callable, Iterable

from tests.tidy import rules
from tests.tidy.tree import ours, packages, python_files, read, tracked_files

# Texts that are not ours to phrase, or that machines write.
_GIVEN = ("LICENSE", "requirements.lock", "requirements-dev.lock")
# The samples of broken text, which have to name what is forbidden.
_EXAMPLES = ("tests/tidy/test_rules.py",)

Rule = Callable[[str], list[rules.Finding]]


def _hold(rule: Rule, paths: Iterable[str]) -> None:
    broken = [f"{path}:{line}: {message}" for path in paths for line, message in rule(read(path))]
    assert not broken, "\n" + "\n".join(broken)


def _parsed() -> list[str]:
    return [path for path in python_files() if not rules.parses(read(path))]


def _shipped() -> list[str]:
    return [path for path in _parsed() if ours(path)]


def test_every_python_file_parses() -> None:
    _hold(rules.parses, python_files())


def test_functions_are_short() -> None:
    _hold(rules.functions_are_short, _parsed())


def test_modules_are_short() -> None:
    _hold(rules.module_is_short, _shipped())


def test_every_module_says_what_it_owns() -> None:
    _hold(rules.module_has_docstring, _parsed())


def test_public_functions_and_classes_have_docstrings() -> None:
    _hold(rules.public_names_have_docstrings, _shipped())


def test_init_files_hold_only_a_docstring() -> None:
    _hold(rules.init_holds_only_a_docstring, [path for path in _parsed() if path.endswith("__init__.py")])


def test_nothing_is_put_off() -> None:
    _hold(rules.nothing_is_put_off, [path for path in tracked_files() if path not in (*_GIVEN, *_EXAMPLES)])


def test_nothing_is_a_stub() -> None:
    _hold(rules.nothing_is_a_stub, _shipped())


def test_no_error_is_swallowed() -> None:
    _hold(rules.no_error_is_swallowed, _parsed())


def test_pure_modules_touch_nothing_impure() -> None:
    _hold(rules.pure_module_is_pure, _shipped())


def test_pure_modules_import_only_pure_modules_of_ours() -> None:
    modules = {_module_name(path): path for path in _shipped()}
    pure = {name for name, path in modules.items() if rules.says_pure(read(path))}
    broken = []
    for name in sorted(pure):
        for line, imported in rules.imported_names(ast.parse(read(modules[name]))):
            target = imported if imported in modules else imported.rpartition(".")[0]
            if target in modules and target not in pure and not modules[target].endswith("__init__.py"):
                broken.append(f"{modules[name]}:{line}: pure, yet imports {target}, which does not say so")
    assert not broken, "\n" + "\n".join(broken)


def test_every_module_of_the_model_is_pure() -> None:
    impure = [
        path
        for path in _shipped()
        if path.startswith("model/") and not path.endswith("__init__.py") and not rules.says_pure(read(path))
    ]
    assert not impure


def test_no_file_names_a_path_of_one_machine() -> None:
    _hold(rules.no_machine_paths, [path for path in tracked_files() if path not in _EXAMPLES])


def test_no_file_names_a_package_index() -> None:
    _hold(rules.no_package_index, [path for path in tracked_files() if path not in _EXAMPLES])


def test_no_module_is_named_as_a_heap() -> None:
    heaps = [(path, message) for path in python_files() for _, message in rules.path_names_an_owner(path)]
    assert not heaps


def test_every_shipped_folder_is_a_package() -> None:
    folders = {path.rpartition("/")[0] for path in _shipped()}
    assert sorted(folder for folder in folders if f"{folder}/__init__.py" not in _shipped()) == []


def test_every_top_level_package_is_shipped() -> None:
    present = {path.split("/")[0] for path in python_files() if "/" in path} - {"tests", "docs"}
    assert present == set(packages())


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
