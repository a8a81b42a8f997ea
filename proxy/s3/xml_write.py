"""XML bodies of responses, written as bytes from f-strings. Pure.

Each function returns a whole document. Text is escaped here and nowhere else; names in listings
arrive as the verb wants them shown (percent-encoded for encoding-type=url).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_INSTANCE: Final = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_PLAIN: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 !#$%'()*+,-./:;=?@[\\]^_`{|}~"
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    | {chr(code): f"&#x{code:x};" for code in (*range(1, 32), 127)}
    | {"\0": "\ufffd", "\ufffe": "\ufffd", "\uffff": "\ufffd"}
)


def escape(text: str) -> str:
    """Return text for use between tags or in an attribute."""
    if not text.rstrip(_PLAIN):
        return text
    return text.translate(_ESCAPES)


def document(text: str) -> bytes:
    """Return a document with its declaration, in UTF-8; bytes that were not UTF-8 become U+FFFD."""
    try:
        return (HEAD + text).encode()
    except UnicodeEncodeError:
        return (HEAD + text).encode("utf-8", "replace")


def tag(name: str, value: object) -> str:
    """Return one element with escaped text."""
    return f"<{name}>{escape(str(value))}</{name}>"


def flag(name: str, *, holds: bool) -> str:
    """Return one element that says true or false."""
    return f"<{name}>{'true' if holds else 'false'}</{name}>"


def root(name: str, inner: str) -> bytes:
    """Return a document whose root is in the S3 namespace."""
    return document(f"<{name} {_NAMESPACE}>{inner}</{name}>")


def error(
    code: str, message: str, details: Mapping[str, str], *, resource: str, ids: tuple[str, str]
) -> bytes:
    """Return an error's document; `ids` are the request id and the host id."""
    # Lines of what was signed are told as lines: no client reads a line's end back from here.
    more = "".join([tag(name, value) for name, value in details.items()]).replace("&#xa;", "\n")
    return document(
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>{more}"
        f"<Resource>{escape(resource)}</Resource><RequestId>{ids[0]}</RequestId><HostId>{ids[1]}</HostId></Error>"
    )


@dataclass(frozen=True, slots=True)
class Owner:
    """A user as Owner elements show it."""

    id: str
    display_name: str

    def xml(self, name: str = "Owner") -> str:
        """Return the element."""
        return f"<{name}>{tag('ID', self.id)}{tag('DisplayName', self.display_name)}</{name}>"


def bucket(name: str, created: str) -> str:
    """Return one Bucket of ListAllMyBuckets."""
    return f"<Bucket><Name>{escape(name)}</Name><CreationDate>{created}</CreationDate></Bucket>"


def common_prefixes(prefixes: Iterable[str]) -> str:
    """Return CommonPrefixes elements of prefixes that are escaped already."""
    return "".join([f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>" for prefix in prefixes])


def copied(root_name: str, etag: str, modified: str, checksums: Mapping[str, str]) -> bytes:
    """Return a CopyObjectResult or CopyPartResult."""
    return root(
        root_name,
        f"<LastModified>{modified}</LastModified><ETag>&quot;{etag}&quot;</ETag>{checksum_tags(checksums)}",
    )


def checksum_tags(checksums: Mapping[str, str]) -> str:
    """Return Checksum elements of algorithm names and values."""
    return "".join([tag(f"Checksum{name}", value) for name, value in checksums.items()])


@dataclass(frozen=True, slots=True)
class Grantee:
    """Who is granted a permission: a user by id or e-mail address, or a group by URI.

    `name` is shown beside an id; it grants nothing.
    """

    id: str = ""
    uri: str = ""
    email: str = ""
    name: str = field(default="", compare=False)


def access_control_policy(owner: Owner, grants: Sequence[tuple[Grantee, str]]) -> bytes:
    """Return an ACL."""
    listed = "".join([f"<Grant>{_grantee(who)}{tag('Permission', what)}</Grant>" for who, what in grants])
    return root("AccessControlPolicy", f"{owner.xml()}<AccessControlList>{listed}</AccessControlList>")


def _grantee(who: Grantee) -> str:
    if who.uri:
        return f'<Grantee {_INSTANCE} xsi:type="Group">{tag("URI", who.uri)}</Grantee>'
    named = tag("ID", who.id) + tag("DisplayName", who.name or who.id)
    return f'<Grantee {_INSTANCE} xsi:type="CanonicalUser">{named}</Grantee>'


def tagging(tags: Mapping[str, str]) -> bytes:
    """Return a TagSet."""
    listed = "".join([f"<Tag>{tag('Key', name)}{tag('Value', value)}</Tag>" for name, value in tags.items()])
    return root("Tagging", f"<TagSet>{listed}</TagSet>")
