"""How errors of the model's tree travel between nodes: class name, text, public attributes. Pure."""

from __future__ import annotations

from typing import Any, Final

import model.errors
from model.errors import ColonnadeError, Unavailable

_CLASSES: Final[dict[str, type[ColonnadeError]]] = {
    name: value
    for name, value in vars(model.errors).items()
    if isinstance(value, type) and issubclass(value, ColonnadeError)
}
_PLAIN: Final = (str, bytes, int, float, bool, type(None))
TEXT_LENGTH_MAX: Final = 16 * 1024
"""What longer texts and values are cut to: an error must fit its frame, or its call would never end."""


def encode_error(error: ColonnadeError) -> list[Any]:
    """Return the head of an ERROR frame: name of the nearest known class, text, attributes.

    Attributes that are not plain values stay behind; texts are cut to TEXT_LENGTH_MAX.
    """
    name = next(known.__name__ for known in type(error).__mro__ if _CLASSES.get(known.__name__) is known)
    attributes = {key: _cut(value) for key, value in vars(error).items() if isinstance(value, _PLAIN)}
    return [name, _cut(str(error)), attributes]


def _cut(value: Any) -> Any:
    return value[:TEXT_LENGTH_MAX] if isinstance(value, (str, bytes)) else value


def decode_error(head: Any) -> ColonnadeError:
    """Return the error that an ERROR frame's head stands for; one of an unknown name is Unavailable."""
    try:
        name, text, attributes = head
        found = _CLASSES.get(name)
        known = found if found is not None else Unavailable
        message = text if found is not None else f"{name}: {text}"
        # Not through __init__: each class has arguments of its own, and the text is made already.
        error = known.__new__(known)
        error.args = (message,)
        for key, value in attributes.items():
            if not key.startswith("_"):
                setattr(error, key, value)
    except (ValueError, TypeError, AttributeError) as fault:
        return Unavailable(f"the node answered with an error that cannot be decoded: {fault}")
    return error
