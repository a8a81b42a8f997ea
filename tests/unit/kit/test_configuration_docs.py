"""docs/configuration.md says what the code reads, no more and no less."""

from __future__ import annotations

from pathlib import Path

from kit.config import describe
from kit.configuration_page import render
from kit.settings import Settings

_PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_what_the_settings_declare() -> None:
    assert _PAGE.read_text(encoding="utf-8") == render(), (
        "run: python -m kit.configuration_page > docs/configuration.md"
    )


def test_every_number_that_has_a_unit_in_its_name_declares_it() -> None:
    units = {"_ms": "ms", "_s": "s", "_bytes": "bytes", "_bytes_max": "bytes", "_per_s": "bytes/s"}
    for _, _, settings in describe(Settings):
        for one in settings:
            suffix = max((end for end in units if one.key.endswith(end)), key=len, default="")
            assert one.info.unit == units[suffix] if suffix else True, one.key
            assert one.info.doc.endswith("."), one.key
