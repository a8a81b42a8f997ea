"""Browser forms (multipart/form-data), parsed as they arrive: fields first, then one file. Pure.

    preamble CRLF --BOUNDARY CRLF head CRLF CRLF value CRLF --BOUNDARY CRLF … CRLF --BOUNDARY-- epilogue

The field named `file` is the object, whatever its size; what comes before it is bounded, and what
comes after it is passed over, as S3 does.

Source: RFC 7578 and RFC 2046, section 5.1.1; Amazon S3 API reference, "POST Object".
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final
from urllib.parse import unquote

from proxy.s3.errors import S3Error

Buffer = bytes | bytearray | memoryview

FIELDS_BYTES_MAX: Final = 20 * 1024
"""Names and values of all fields before the file."""
BEFORE_FILE_BYTES_MAX: Final = 64 * 1024
"""All that comes before the file's first byte, with delimiters and heads."""
AFTER_FILE_BYTES_MAX: Final = 64 * 1024
BOUNDARY_LENGTH_MAX: Final = 70

_FORM_TYPE: Final = "multipart/form-data"
_PARAMETER: Final = re.compile(
    r'[ \t]*;[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;"\s]*)'
)
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PADDING: Final = b" \t"


class _State(Enum):
    DELIMITER = "up to the next delimiter, passing over a preamble"
    AFTER_DELIMITER = "the end of the delimiter's line"
    HEAD = "the head of a part"
    VALUE = "the value of a field"
    FILE = "bytes of the file"
    EPILOGUE = "what follows the file"


def read_boundary(content_type: str) -> bytes:
    """Return the boundary that a Content-Type names.

    Raises S3Error PreconditionFailed for another type, MalformedPOSTRequest for a malformed boundary.
    """
    kind, _, _ = content_type.partition(";")
    if kind.strip().lower() != _FORM_TYPE:
        raise S3Error(
            "PreconditionFailed",
            details={"Condition": "Bucket POST must be of the enclosure-type multipart/form-data"},
        )
    boundary = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise malformed()
    return boundary.encode()


def malformed() -> S3Error:
    """Return the error of a body that is no form."""
    return S3Error("MalformedPOSTRequest")


class FormParser:
    """Parses one form, however its bytes are cut.

    `feed` returns the bytes of the file as views of what was fed. `fields` (lower-case names, in
    order) and `filename` are whole once `at_file` is true.
    """

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self._delimiter = b"\r\n--" + boundary
        # As if a line had just ended: the first delimiter may be the first bytes of the body.
        self._held = bytearray(b"\r\n")
        self._searched = 0
        self._state = _State.DELIMITER
        self._name = ""
        self._before_bytes = 0
        self._fields_bytes = 0
        self._after_bytes = 0
        self._tail = b""

    @property
    def at_file(self) -> bool:
        """Whether the file has begun."""
        return self._state in (_State.FILE, _State.EPILOGUE)

    def feed(self, data: Buffer) -> list[memoryview]:
        """Return the bytes of the file in the next bytes of the body.

        Raises S3Error MalformedPOSTRequest or MaxPostPreDataLengthExceeded.
        """
        view = memoryview(data)
        if not self.at_file:
            view = self._take_before(view)
        if self._state is _State.FILE:
            return self._take_file(view)
        if self._state is _State.EPILOGUE:
            self._take_after(view)
        return []

    def finish(self) -> None:
        """Say that the body has ended. Raises S3Error where the form is not whole, or has no file."""
        if self._state is not _State.EPILOGUE or len(self._held) < 2:
            raise malformed()

    # Fields.

    def _take_before(self, view: memoryview) -> memoryview:
        """Take fields in, and return what is left for the file once that has begun."""
        room = BEFORE_FILE_BYTES_MAX - self._before_bytes
        taken = view[: room + 1]
        self._before_bytes += len(taken)
        self._held += taken
        while self._step():
            if self.at_file:
                rest = bytes(self._held)
                self._held.clear()
                return memoryview(rest + bytes(view[len(taken) :]) if len(taken) < len(view) else rest)
        if self._before_bytes > BEFORE_FILE_BYTES_MAX:
            raise S3Error("MaxPostPreDataLengthExceeded")
        return view[:0]

    def _step(self) -> bool:
        """Do one thing with the bytes held; returns whether it could be done."""
        match self._state:
            case _State.DELIMITER:
                return self._to_delimiter(_State.AFTER_DELIMITER) is not None
            case _State.AFTER_DELIMITER:
                return self._end_delimiter()
            case _State.HEAD:
                return self._read_head()
            case _State.VALUE:
                return self._read_value()
            case _:
                return False

    def _to_delimiter(self, following: _State) -> bytes | None:
        """Return what comes before the next delimiter, or None where that has not come yet."""
        found = self._held.find(self._delimiter, max(0, self._searched - len(self._delimiter)))
        if found < 0:
            self._searched = len(self._held)
            return None
        before = bytes(self._held[:found])
        self._use_up(found + len(self._delimiter), following)
        return before

    def _end_delimiter(self) -> bool:
        if len(self._held) < 2:
            return False
        if self._held.startswith(b"--"):
            # The form has ended, and brought no file.
            raise S3Error("IncorrectNumberOfFilesInPostRequest")
        end = self._held.find(b"\r\n")
        padding = self._held[: end if end >= 0 else len(self._held)]
        if padding.strip(_PADDING + b"\r"):
            raise malformed()
        if end < 0:
            return False
        # The line end stays: an empty head is then two of them in a row, like any other.
        self._use_up(end, _State.HEAD)
        return True

    def _read_head(self) -> bool:
        found = self._held.find(b"\r\n\r\n", max(0, self._searched - 3))
        if found < 0:
            self._searched = len(self._held)
            return False
        name, filename = _read_part_head(bytes(self._held[:found]))
        if name == "file":
            self.filename = filename
            self._use_up(found + 4, _State.FILE)
            return True
        self._name = name
        # As with the head, an empty value is a delimiter at once.
        self._use_up(found + 2, _State.VALUE)
        return True

    def _read_value(self) -> bool:
        value = self._to_delimiter(_State.AFTER_DELIMITER)
        if value is None:
            return False
        value = value.removeprefix(b"\r\n")
        name = self._name
        self._fields_bytes += len(name) + len(value)
        if self._fields_bytes > FIELDS_BYTES_MAX:
            raise S3Error("MaxPostPreDataLengthExceeded")
        if name in self.fields:
            raise S3Error(
                "InvalidArgument",
                "POST requires exactly one value of each field.",
                details={"ArgumentName": name},
            )
        self.fields[name] = value.decode("utf-8", "surrogateescape")
        return True

    def _use_up(self, count: int, following: _State) -> None:
        del self._held[:count]
        self._searched = 0
        self._state = following

    # The file and what follows.

    def _take_file(self, view: memoryview) -> list[memoryview]:
        spans: list[memoryview] = []
        if self._tail:
            # The bytes held back begin like a delimiter, which holds no second CR: either they and
            # the next bytes are it, or all of them belong to the file.
            missing = len(self._delimiter) - len(self._tail)
            joined = self._tail + bytes(view[:missing])
            if self._delimiter.startswith(joined):
                view = view[missing:]
                if len(joined) < len(self._delimiter):
                    self._tail = joined
                    return spans
                self._tail = b""
                self._end_file(view)
                return spans
            spans.append(memoryview(self._tail))
            self._tail = b""
        data = bytes(view)
        found = data.find(self._delimiter)
        if found >= 0:
            if found:
                spans.append(view[:found])
            self._end_file(view[found + len(self._delimiter) :])
            return spans
        begun = data.rfind(b"\r", max(0, len(data) - len(self._delimiter) + 1))
        if begun >= 0 and self._delimiter.startswith(data[begun:]):
            self._tail = data[begun:]
            view = view[:begun]
        if len(view):
            spans.append(view)
        return spans

    def _end_file(self, rest: memoryview) -> None:
        self._state = _State.EPILOGUE
        self._take_after(rest)

    def _take_after(self, view: memoryview) -> None:
        self._after_bytes += len(view)
        if self._after_bytes > AFTER_FILE_BYTES_MAX:
            raise malformed()
        if len(self._held) < 2:
            self._held += view[: 2 - len(self._held)]
            if len(self._held) == 2 and bytes(self._held).strip(_PADDING) not in (b"--", b"\r\n", b"\r", b""):
                raise malformed()


def _read_part_head(head: bytes) -> tuple[str, str]:
    """Return the name (lower case) and the file name of a part. Raises S3Error MalformedPOSTRequest."""
    for line in head.split(b"\r\n"):
        field, _, value = line.decode("utf-8", "surrogateescape").partition(":")
        if field.strip().lower() != "content-disposition":
            continue
        kind, _, _ = value.partition(";")
        parameters = _parameters(value)
        name = parameters.get("name", "").lower()
        if kind.strip().lower() != "form-data" or not name:
            raise malformed()
        return name, _filename(parameters)
    raise malformed()


def _parameters(value: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = max(0, value.find(";"))
    # One after the other: a search for more of them could take the square of the length.
    while (match := _PARAMETER.match(value, at)) is not None:
        name, text = match.groups()
        at = match.end()
        if text[:1] == '"':
            # Browsers escape the quotation mark as %22, programs with a backslash; a backslash alone
            # is part of a path.
            text = text[1:-1].replace('\\"', '"').replace("%22", '"')
        found.setdefault(name.lower(), text)
    return found


def _filename(parameters: dict[str, str]) -> str:
    """Return what follows the last slash or backslash of the file's name."""
    name = parameters.get("filename")
    if name is None:
        # Not for forms, says RFC 7578; some programs send it all the same.
        encoding, _, rest = parameters.get("filename*", "").partition("'")
        name = unquote(rest.partition("'")[2]) if encoding.lower() == "utf-8" else ""
    return name.replace("\\", "/").rpartition("/")[2]
