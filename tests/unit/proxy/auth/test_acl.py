"""ACLs are cleaned as Swift cleans them, and open exactly what they say."""

import pytest

from proxy.auth.acl import Access, AclKind, InvalidAcl, acl_admits, acl_groups, clean_acl, parse_acl

NOBODY: frozenset[str] = frozenset()
TESTER = acl_groups("test", "tester", frozenset(("service",)))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""),
        ("bob, sue", "bob,sue"),
        ("bob , sue", "bob,sue"),
        ("bob,,,sue", "bob,sue"),
        (".referrer : *", ".r:*"),
        (".ref:*.example.com", ".r:.example.com"),
        (".r:*, .rlistings", ".r:*,.rlistings"),
        (".r: - .bad.com", ".r:-.bad.com"),
        ("acct:user", "acct:user"),
    ],
)
def test_an_acl_is_cleaned(text: str, cleaned: str) -> None:
    assert clean_acl(text, AclKind.READ) == cleaned


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (".r:", AclKind.READ),
        (".r:-", AclKind.READ),
        (".r:*.", AclKind.READ),
        (".x:y", AclKind.READ),
        (".r:*", AclKind.WRITE),
    ],
)
def test_an_acl_that_makes_no_sense_is_refused(text: str, kind: AclKind) -> None:
    with pytest.raises(InvalidAcl):
        clean_acl(text, kind)


@pytest.mark.parametrize(
    ("acl", "admits"),
    [
        ("test", True),
        ("test:tester", True),
        ("test:*", True),
        ("*:tester", True),
        ("*:*", True),
        ("service", True),
        ("test%3Atester", True),
        ("test:tester3", False),
        ("test2", False),
        ("tester", False),
        ("", False),
        ("*", False),
    ],
)
def test_groups_open_what_they_name(acl: str, admits: bool) -> None:
    for access in Access:
        assert acl_admits(parse_acl(acl), access, groups=TESTER, referrer="") is admits
    assert not acl_admits(parse_acl(acl), Access.READ_OBJECT, groups=NOBODY, referrer="")


@pytest.mark.parametrize(
    ("acl", "referrer", "admits"),
    [
        (".r:*", "", True),
        (".r:*", "http://anything/", True),
        (".r:www.example.com", "https://www.example.com/x?y", True),
        (".r:www.example.com", "https://example.com/", False),
        (".r:.example.com", "https://a.b.example.com/", True),
        (".r:.example.com", "https://badexample.com/", False),
        (".r:*,.r:-.bad.com", "http://x.bad.com/", False),
        (".r:-.bad.com,.r:*", "http://x.bad.com/", True),
        (".r:unknown", "", True),
        (".r:*", "http://[broken", True),
    ],
)
def test_a_referrer_opens_objects(acl: str, referrer: str, admits: bool) -> None:
    parsed = parse_acl(acl)
    assert acl_admits(parsed, Access.READ_OBJECT, groups=NOBODY, referrer=referrer) is admits
    assert not acl_admits(parsed, Access.LIST, groups=NOBODY, referrer=referrer)
    assert not acl_admits(parsed, Access.WRITE, groups=NOBODY, referrer=referrer)
    listings = parse_acl(acl + ",.rlistings")
    assert acl_admits(listings, Access.LIST, groups=NOBODY, referrer=referrer) is admits
