"""Configuration: one TOML file into one tree of frozen dataclasses, checked once at start.

Fields of the tree's root are sections, dataclasses too; each of their fields is declared by
`setting(default, doc=…, unit=…)`. The same declaration checks the file and
writes docs/configuration.md. An error names the file, the key and the mend.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

_TOML_NAMES: Final[dict[object, str]] = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple[str, ...]: "a list of texts in quotes",
}


class ConfigError(Exception):
    """A configuration file cannot be used; the text names file, key and mend."""


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What is declared of one setting; `minimum` and `maximum` are inclusive bounds of a number."""

    doc: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a tree: its dotted key, its type, its default and what is declared of it."""

    key: str
    type: object
    default: Any
    info: SettingInfo


def setting(default: T, *, doc: str, unit: str = "", **bounds: Any) -> T:
    """Declare a field of a settings dataclass; `bounds` are minimum, maximum or choices."""
    info = SettingInfo(doc, unit, **bounds)
    declared: T = dataclasses.field(default=default, metadata={"setting": info})
    return declared


def load_config(kind: type[T], path: Path) -> T:
    """Return the settings in a TOML file; raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    return build_config(kind, tables, str(path))


def build_config(kind: type[T], tables: Mapping[str, Any], source: str) -> T:
    """Return the settings in decoded TOML; raises ConfigError that names `source`."""
    return _build(kind, tables, source, "")


def describe(kind: type[Any]) -> Iterator[tuple[str, str, list[Setting]]]:
    """Yield (name, doc, settings) of each section of a settings tree, in order of declaration."""
    for name, hint in typing.get_type_hints(kind).items():
        hints = typing.get_type_hints(hint)
        settings = [
            Setting(f"{name}.{field.name}", hints[field.name], field.default, field.metadata["setting"])
            for field in dataclasses.fields(hint)
        ]
        yield name, hint.__doc__ or "", settings


def type_name(kind: object) -> str:
    """Return how a setting's type is called in words."""
    return _TOML_NAMES[kind]


def _build(kind: type[T], table: Mapping[str, Any], source: str, prefix: str) -> T:
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            raise ConfigError(_unknown(key, fields, source, prefix))
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{source}: {prefix}{key}: is a table; write [{prefix}{key}] above its settings"
                )
            values[key] = _build(hints[key], value, source, f"{prefix}{key}.")
        else:
            values[key] = _check(
                value, hints[key], fields[key].metadata["setting"], f"{source}: {prefix}{key}"
            )
    return kind(**values)


def _check(value: Any, kind: object, info: SettingInfo, where: str) -> Any:
    if kind == tuple[str, ...] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind is float and type(value) is int:
        value = float(value)
    # By exact type: to Python, true is a whole number.
    if isinstance(kind, types.GenericAlias) or type(value) is not kind:
        unit = f" of {info.unit}" if info.unit else ""
        raise ConfigError(f"{where}: {value!r} is not {type_name(kind)}; write {type_name(kind)}{unit}")
    if info.choices and value not in info.choices:
        raise ConfigError(
            f"{where}: {value!r} is none of {', '.join(info.choices)}{_close(value, info.choices)}"
        )
    if info.minimum is not None and value < info.minimum:
        raise ConfigError(
            f"{where}: {value!r} is too small; the least is {info.minimum} {info.unit}".rstrip()
        )
    if info.maximum is not None and value > info.maximum:
        raise ConfigError(f"{where}: {value!r} is too large; the most is {info.maximum} {info.unit}".rstrip())
    return value


def _unknown(key: str, fields: Mapping[str, Any], source: str, prefix: str) -> str:
    place = f"section [{prefix.rstrip('.')}]" if prefix else "file"
    known = ", ".join(fields)
    return f"{source}: {prefix}{key}: no such setting{_close(key, fields)}; this {place} knows {known}"


def _close(word: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
