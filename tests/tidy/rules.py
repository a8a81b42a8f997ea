"""The rules of style that a linter does not know, each a function over the text of one file. Pure.

Each rule returns its findings as `(line, message)`; an empty list means that the text keeps the rule.
"""

import ast
import re
from collections.abc import Iterator

Finding = tuple[int, str]

FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 500

# What a pure module does without: I/O, the clock, chance, and telling anybody about it.
IMPURE_MODULES = frozenset(
    {
        "aiohttp", "asyncio", "concurrent", "fcntl", "glob", "httptools", "logging", "mmap",
        "multiprocessing", "os", "pathlib", "prometheus_client", "random", "requests", "rocksdict",
        "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "structlog",
        "subprocess", "tempfile", "threading", "time", "urllib3", "uvloop",
    }
)  # fmt: skip
_PURE_PARTS = frozenset({"os.path"})
_IMPURE_CALLS = frozenset(
    {
        "open", "io.open", "input", "print", "datetime.now", "datetime.utcnow", "datetime.today",
        "datetime.datetime.now", "datetime.date.today", "uuid.uuid1", "uuid.uuid4", "uuid4", "uuid1",
        "date.today",
    }
)  # fmt: skip

_FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_NAMES_OF_NOTHING = frozenset({"common", "commons", "util", "utils", "helper", "helpers", "misc"})


def parses(text: str) -> list[Finding]:
    """The text is Python."""
    try:
        ast.parse(text)
    except SyntaxError as error:
        return [(error.lineno or 1, f"does not parse: {error.msg}")]
    return []


def functions_are_short(text: str) -> list[Finding]:
    """No function is longer than FUNCTION_LINES_MAX lines, its docstring not counted."""
    return [
        (node.lineno, f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, _FunctionNode) and (lines := _function_lines(node)) > FUNCTION_LINES_MAX
    ]


def module_is_short(text: str) -> list[Finding]:
    """No module is longer than MODULE_LINES_MAX lines."""
    lines = len(text.splitlines())
    return [(lines, f"{lines} lines, at most {MODULE_LINES_MAX}")] if lines > MODULE_LINES_MAX else []


def module_has_docstring(text: str) -> list[Finding]:
    """Each module says what it owns."""
    return [] if ast.get_docstring(ast.parse(text)) else [(1, "no module docstring")]


def public_names_have_docstrings(text: str) -> list[Finding]:
    """Each public function and class says what it is; so does each method of a public Protocol."""
    return [
        (node.lineno, f"{node.name} has no docstring")
        for node in _public_definitions(ast.parse(text))
        if not ast.get_docstring(node)
    ]


def init_holds_only_a_docstring(text: str) -> list[Finding]:
    """`__init__.py` has a docstring and nothing else, so that importing a pure module stays pure."""
    body = ast.parse(text).body
    if not body or not _is_docstring(body[0]):
        return [(1, "__init__.py has no docstring")]
    return [(node.lineno, "__init__.py holds more than a docstring") for node in body[1:]]


def nothing_is_put_off(text: str) -> list[Finding]:
    """No mark of unfinished work."""
    return _matches(r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b", text, "finish it, or open an issue")


def nothing_is_a_stub(text: str) -> list[Finding]:
    """Nothing raises NotImplementedError."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                found.append((node.lineno, "a stub is left"))
    return found


def no_error_is_swallowed(text: str) -> list[Finding]:
    """No bare except, and no handler of every error, or of a cancel, that does nothing."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None:
            found.append((node.lineno, "bare except"))
        elif _catches_all(node.type) and all(map(_does_nothing, node.body)):
            found.append((node.lineno, "an error or a cancel is swallowed"))
    return found


def says_pure(text: str) -> bool:
    """Whether the module's docstring claims purity by the word "Pure." as a sentence."""
    return bool(re.search(r"(^|[.\s])Pure\.(\s|$)", ast.get_docstring(ast.parse(text)) or ""))


def pure_module_is_pure(text: str) -> list[Finding]:
    """A module that says "Pure." imports and calls nothing that does I/O, tells time or rolls dice."""
    if not says_pure(text):
        return []
    tree = ast.parse(text)
    found = [
        (line, f"pure, yet imports {name}")
        for line, name in imported_names(tree)
        if name.split(".")[0] in IMPURE_MODULES and name not in _PURE_PARTS
    ]
    found += [
        (node.lineno, f"pure, yet calls {name}")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in _IMPURE_CALLS
    ]
    return found


def no_machine_paths(text: str) -> list[Finding]:
    """No path of the machine on which the text was written."""
    return _matches(
        r"(?<![\w.}*-])/(work/(main|shared|issues)|tmp/(colony|scratch|bash_jobs)|root/\.|opt/wheels)\b",
        text,
        "a path of one machine",
    )


def no_package_index(text: str) -> list[Finding]:
    """No name of a package index: the machine's own settings say where packages come from."""
    return _matches(
        r"\bpypi\.org|pythonhosted\.org|\bnpmjs\.(org|com)|\bcrates\.io|--(extra-)?index-url[ =]\S",
        text,
        "a package index",
    )


def path_names_an_owner(path: str) -> list[Finding]:
    """No folder or module is named as a heap: a thing lives with its owner."""
    parts = {part.removesuffix(".py").strip("_") for part in path.split("/")}
    return [(1, f"{name} owns nothing; name what it is") for name in sorted(parts & _NAMES_OF_NOTHING)]


def imported_names(tree: ast.Module) -> list[tuple[int, str]]:
    """`(line, dotted name)` of each import that runs; `from a import b` gives `a.b`.

    Imports under `if TYPE_CHECKING:` are left out, as they never run.
    """
    return list(_imports(tree.body))


def _imports(nodes: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node.orelse)
        else:
            yield from _imports(
                [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            )
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.ExceptHandler | ast.match_case):
                    yield from _imports(child.body)


def _function_lines(node: _FunctionNode) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    return lines - ((first.end_lineno or 0) - first.lineno + 1 if _is_docstring(first) else 0)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _public_definitions(tree: ast.Module) -> Iterator[_FunctionNode | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, _FunctionNode | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
                yield from (m for m in node.body if isinstance(m, _FunctionNode) and m.name[0] != "_")


def _catches_all(caught: ast.expr) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(
        ast.unparse(name).split(".")[-1] in {"Exception", "BaseException", "CancelledError"} for name in names
    )


def _does_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass | ast.Continue) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _matches(pattern: str, text: str, message: str) -> list[Finding]:
    return [
        (number, f"{match.group()}: {message}")
        for number, line in enumerate(text.splitlines(), start=1)
        for match in re.finditer(pattern, line)
    ]
