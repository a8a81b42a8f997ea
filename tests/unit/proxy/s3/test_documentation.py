"""docs/s3.md says of each operation what the routes do."""

from pathlib import Path

from proxy.s3.handlers import NEVER_CONFIGURED, SERVED
from proxy.s3.router import Operation

PAGE = Path(__file__).parents[4] / "docs" / "s3.md"


def rows() -> list[list[str]]:
    """The cells of each row of the page's table of operations."""
    table = PAGE.read_text(encoding="utf-8").partition("| operation | state | remarks |")[2]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def test_the_page_and_the_routes_agree() -> None:
    assert {row[1]: row[2] for row in rows()} == {
        str(operation): "yes"
        if operation in SERVED
        else "none configured"
        if operation in NEVER_CONFIGURED
        else "no"
        for operation in Operation
    }


def test_the_page_lists_operations_once_and_in_order() -> None:
    names = [row[1] for row in rows()]
    assert names == sorted(set(names))
