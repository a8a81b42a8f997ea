"""Each rule of style finds its bad sample, and leaves the good one alone."""

from collections.abc import Callable

import pytest

from tests.tidy import rules

Rule = Callable[[str], list[rules.Finding]]


def _function_of(lines: int, docstring_lines: int = 0) -> str:
    docstring = (
        ['    """One.'] + ["    More."] * (docstring_lines - 2) + ['    """'] if docstring_lines else []
    )
    return "\n".join(["def long():", *docstring, *["    x = 1"] * (lines - 1)])


_BAD: list[tuple[Rule, str]] = [
    (rules.parses, "def ("),
    (rules.functions_are_short, _function_of(rules.FUNCTION_LINES_MAX + 1)),
    (
        rules.functions_are_short,
        "class A:\n" + "\n".join(f"    {line}" for line in _function_of(61).splitlines()),
    ),
    (rules.functions_are_short, "async " + _function_of(61)),
    (rules.module_is_short, "x = 1\n" * (rules.MODULE_LINES_MAX + 1)),
    (rules.module_has_docstring, "x = 1\n"),
    (rules.public_names_have_docstrings, "def place(): ...\n"),
    (rules.public_names_have_docstrings, "async def place(): ...\n"),
    (rules.public_names_have_docstrings, "class Ring:\n    x = 1\n"),
    (
        rules.public_names_have_docstrings,
        'class Store(Protocol):\n    """It keeps."""\n    def put(self): ...\n',
    ),
    (rules.init_holds_only_a_docstring, ""),
    (rules.init_holds_only_a_docstring, "x = 1\n"),
    (rules.init_holds_only_a_docstring, '"""It owns."""\nfrom ring.table import Table\n'),
    (rules.nothing_is_put_off, "x = 1  # TODO: later\n"),
    (rules.nothing_is_put_off, "FIXME\n"),
    (rules.nothing_is_put_off, "# XXX\n"),
    (rules.nothing_is_a_stub, "def f():\n    raise NotImplementedError\n"),
    (rules.nothing_is_a_stub, "def f():\n    raise NotImplementedError('soon')\n"),
    (rules.no_error_is_swallowed, "try:\n    f()\nexcept:\n    raise\n"),
    (rules.no_error_is_swallowed, "try:\n    f()\nexcept Exception:\n    pass\n"),
    (
        rules.no_error_is_swallowed,
        "for x in y:\n    try:\n        f()\n    except BaseException:\n        continue\n",
    ),
    (rules.no_error_is_swallowed, "try:\n    f()\nexcept (OSError, asyncio.CancelledError):\n    ...\n"),
    (rules.pure_module_is_pure, '"""Owns it. Pure."""\nimport asyncio\n'),
    (rules.pure_module_is_pure, '"""Owns it. Pure."""\nimport os\n'),
    (rules.pure_module_is_pure, '"""Owns it. Pure."""\nfrom time import time_ns\n'),
    (rules.pure_module_is_pure, '"""Owns it. Pure."""\ndef f():\n    import random\n'),
    (
        rules.pure_module_is_pure,
        '"""Owns it. Pure."""\ntry:\n    import x\nexcept ImportError:\n    import socket\n',
    ),
    (rules.pure_module_is_pure, '"""Owns it.\n\nPure.\n"""\nopen("/etc/passwd")\n'),
    (rules.pure_module_is_pure, '"""Owns it. Pure."""\nnow = datetime.now(UTC)\n'),
    (rules.no_machine_paths, 'DATA = "/work/main/data"\n'),
    (rules.no_machine_paths, "see /tmp/scratch/v\n"),
    (rules.no_package_index, "pip install --index-url https://mirror.example/simple x\n"),
    (rules.no_package_index, "https://pypi.org/project/x\n"),
    (rules.no_package_index, "https://files.pythonhosted.org/x.whl\n"),
    (rules.path_names_an_owner, "kit/utils.py"),
    (rules.path_names_an_owner, "common/names.py"),
    (rules.path_names_an_owner, "proxy/_helpers.py"),
]

_GOOD: list[tuple[Rule, str]] = [
    (rules.parses, "x = 1\n"),
    (rules.functions_are_short, _function_of(rules.FUNCTION_LINES_MAX)),
    (rules.functions_are_short, _function_of(rules.FUNCTION_LINES_MAX, docstring_lines=30)),
    (rules.module_is_short, "x = 1\n" * rules.MODULE_LINES_MAX),
    (rules.module_has_docstring, '"""It owns."""\n'),
    (rules.public_names_have_docstrings, "def _place(): ...\nclass _Ring: ...\n"),
    (rules.public_names_have_docstrings, 'class Ring:\n    """It places."""\n    def place(self): ...\n'),
    (rules.init_holds_only_a_docstring, '"""It owns."""\n'),
    (rules.nothing_is_put_off, "todos = mastodon\n"),
    (rules.nothing_is_a_stub, "def f():\n    raise ValueError\n"),
    (rules.no_error_is_swallowed, "try:\n    f()\nexcept OSError:\n    pass\n"),
    (rules.no_error_is_swallowed, "try:\n    f()\nexcept Exception as error:\n    log(error)\n"),
    (rules.pure_module_is_pure, '"""Owns the disk."""\nimport os\n'),
    (
        rules.pure_module_is_pure,
        '"""Owns it. Pure."""\nimport os.path\nfrom os import path\nimport hashlib\n',
    ),
    (rules.pure_module_is_pure, '"""Owns it. Pure."""\nif TYPE_CHECKING:\n    from pathlib import Path\n'),
    (rules.no_machine_paths, '"/v1/a/work/main" "/tmp/x" "work/main"\n'),
    (rules.no_package_index, "the package index\n"),
    (rules.path_names_an_owner, "kit/clock.py"),
]


@pytest.mark.parametrize(("rule", "text"), _BAD)
def test_a_rule_finds_its_bad_sample(rule: Rule, text: str) -> None:
    assert rule(text)


@pytest.mark.parametrize(("rule", "text"), _GOOD)
def test_a_rule_leaves_the_good_sample_alone(rule: Rule, text: str) -> None:
    assert rule(text) == []


def test_every_rule_has_a_bad_sample() -> None:
    functions = {
        value
        for name, value in vars(rules).items()
        if callable(value) and getattr(value, "__module__", "") == rules.__name__ and not name.startswith("_")
    }
    assert functions - {rule for rule, _ in _BAD} == {rules.says_pure, rules.imported_names}


def test_purity_is_claimed_by_a_sentence_of_its_own() -> None:
    assert rules.says_pure('"""Owns it. Pure."""')
    assert rules.says_pure('"""Owns it.\n\nPure. More words.\n"""')
    assert not rules.says_pure('"""Pure modules live elsewhere."""')
    assert not rules.says_pure('"""Impure."""')


def test_findings_name_the_line() -> None:
    assert [line for line, _ in rules.nothing_is_put_off("x = 1\n# TODO\n")] == [2]
