"""A small world of three replicas and a few clients, searched through all orders of events. Pure.

The rules are the project's own (model.promises, model.entry, proxy.operations.consensus); only the
driving is done here, one event at a time: a message arrives, or a client goes on with the answers it has.
A message may arrive at any time, also when nobody waits for its answer any more, or never; a client
may never go on. So losses, delays and crashes at each step are among the orders. A read is one event: it
asks some two replicas, and finishes what it finds half done, as readers do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from model.entry import Entry, Kind, Table, make_key, merge
from model.promises import Next, Promised, anew, decide, is_spent, refuses, stamps_of
from model.stamp import STAMP_BYTES, ZERO, Stamp
from proxy.operations.consensus import After, Own, after_accept, own_part
from proxy.operations.quorum import Verdict
from tests.support.linearizability import Act, Operation, is_linearizable

HOMES = (0, 1, 2)
PAIRS = ((0, 1), (0, 2), (1, 2))
KEY = make_key(Table.OBJECT, bytes(16))


class Violation(AssertionError):
    """What clients saw cannot be explained."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules under test; a mutation replaces one of them."""

    refuses: Callable[..., bool] = refuses
    decide: Callable[..., Any] = decide
    after_accept: Callable[..., After] = after_accept
    own_part: Callable[..., Own] = own_part
    contested: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What a client does: write `value` under one of its stamps in turn; `expects` makes it conditional."""

    value: str | None
    stamps: tuple[int, ...]
    conditional: bool = False
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """One home: what survives it, and what it remembers of stamps held and of ballots promised."""

    base: Entry | None = None
    promise: int = 0
    ever: frozenset[Stamp] = frozenset()
    top: int = 0

    def __hash__(self) -> int:
        return hash((self.base.stamp if self.base else None, self.promise, self.ever, self.top))


@dataclass(frozen=True, slots=True)
class Client:
    """Where a client stands: its phase and try, the answers it has, what it is about, what it doubts."""

    phase: str = "idle"
    tries: int = 0
    got: tuple[Any, ...] = (None, None, None)
    about: Entry | None = None
    doubtful: frozenset[Stamp] = frozenset()

    def __hash__(self) -> int:
        got = tuple(one.previous if isinstance(one, Promised) else one for one in self.got)
        return hash((self.phase, self.tries, got, self.doubtful))


@dataclass(frozen=True, slots=True)
class Message:
    """Something on its way to a replica; what is answered goes to the phase and try that sent it."""

    to: int
    client: int
    tries: int
    phase: str
    entry: Entry | None
    ballot: int

    def __hash__(self) -> int:
        stamp = self.entry.stamp if self.entry else None
        return hash((self.to, self.client, self.tries, self.phase, stamp, self.ballot))


@dataclass(frozen=True, slots=True)
class World:
    """All that is: what is on its way, and the history that clients have seen so far."""

    replicas: tuple[Replica, Replica, Replica]
    clients: tuple[Client, ...]
    flying: frozenset[Message] = frozenset()
    history: tuple[tuple[Any, ...], ...] = ()
    reads: int = 0


@cache
def stamp(number: int) -> Stamp:
    """Return a stamp that sorts by its number; between two there is room for sides."""
    return Stamp((number << 8).to_bytes(STAMP_BYTES, "big"))


def number(of: Stamp) -> int:
    """Return the number of a stamp."""
    return int.from_bytes(of, "big") >> 8


@cache
def entry(value: str | None, at: int) -> Entry:
    """Return an object's entry, or its tombstone."""
    if value is None:
        return Entry(KEY, stamp(at), Kind.TOMBSTONE)
    return Entry(KEY, stamp(at), Kind.DATA, 0, value.encode())


def value_of(held: Entry | None) -> str | None:
    """Return the value of an entry, None for nothing."""
    return held.value.decode() if held is not None and held.kind is Kind.DATA else None


class Search:
    """Breadth first over all orders of events."""

    def __init__(self, plans: tuple[Plan, ...], reads: int, rules: Rules, start: World | None = None) -> None:
        self.plans = plans
        self.reads = reads
        self.rules = rules
        self.judged: dict[tuple[Any, ...], bool] = {}
        self.start = start or World((Replica(), Replica(), Replica()), tuple(Client() for _ in plans))

    def run(self) -> int:
        """Visit every world; return how many there are. Raises Violation."""
        seen = {self.start}
        queue = deque([self.start])
        while queue:
            world = queue.popleft()
            for following in self._following(world):
                if following in seen:
                    continue
                seen.add(following)
                if following.history != world.history and not self._is_explained(following.history):
                    raise Violation("\n".join(map(str, following.history)))
                queue.append(following)
        return len(seen)

    def _is_explained(self, history: tuple[tuple[Any, ...], ...]) -> bool:
        known = self.judged.get(history)
        if known is None:
            known = self.judged[history] = is_linearizable(self._operations(history))
        return known

    def _operations(self, history: tuple[tuple[Any, ...], ...]) -> list[Operation]:
        found: dict[Any, Operation] = {}
        for at, (what, who, *rest) in enumerate(history):
            if what == "read":
                found[at] = Operation(Act.READ, rest[0], at, at, "read")
            elif what == "begin":
                plan = self.plans[who]
                act = Act.SWAP if plan.conditional else Act.WRITE
                found[who, "op"] = Operation(act, plan.value, at, None, str(who), plan.expected)
            elif rest[0] == "done":
                found[who, "op"] = replace(found[who, "op"], ended=at)
            elif rest[0] == "nothing":
                # Whoever is told that nothing was done must be right.
                del found[who, "op"]
            elif rest[0] == "missed":
                found[who, "op"] = replace(found[who, "op"], act=Act.READ, value=rest[1], ended=at)
        return list(found.values())

    def _following(self, world: World) -> Iterator[World]:
        for message in world.flying:
            yield self._deliver(world, message)
        for index, client in enumerate(world.clients):
            yield from self._advance(world, index, client)
        if world.reads < self.reads:
            for pair in PAIRS:
                yield from self._read(world, pair)

    # Replicas.

    def _deliver(self, world: World, message: Message) -> World:
        before = world.replicas[message.to]
        if message.phase == "prepare":
            after, answer = self._promise(before, message.ballot)
        else:
            assert message.entry is not None
            after, answer = self._store(before, message.entry, message.ballot)
        replicas = _set(world.replicas, message.to, after)
        clients = world.clients
        client = clients[message.client]
        if (client.phase, client.tries) == (message.phase, message.tries):
            got = tuple(answer if at == message.to else one for at, one in enumerate(client.got))
            clients = _put(clients, message.client, replace(client, got=got))
        return replace(world, replicas=replicas, clients=clients, flying=world.flying - {message})

    def _promise(self, one: Replica, ballot: int) -> tuple[Replica, Any]:
        if ballot <= one.promise or is_spent(stamp(ballot), one.base):
            return one, "refused"
        held = {} if one.base is None else {KEY: one.base}
        answer = Promised(stamp(one.promise) if one.promise else ZERO, held)
        return replace(one, promise=ballot, top=max(one.top, ballot)), answer

    def _store(self, one: Replica, new: Entry, ballot: int) -> tuple[Replica, str]:
        merged = merge(one.base, new)
        if merged is one.base:
            if one.base.stamp == new.stamp or new.stamp in one.ever:
                return one, "taken"
            contested = self.rules.contested and one.top > number(new.stamp)
            return one, "contested" if contested else "hidden"
        promise = stamp(one.promise) if one.promise else None
        if self.rules.refuses(new, one.base, promise, stamp(ballot) if ballot else None):
            return one, "promised"
        kept = 0 if promise is not None and is_spent(promise, merged) else one.promise
        return Replica(merged, kept, one.ever | stamps_of(merged), one.top), "taken"

    # Clients.

    def _advance(self, world: World, index: int, client: Client) -> Iterator[World]:
        plan = self.plans[index]
        match client.phase:
            case "idle":
                begun = replace(world, history=(*world.history, ("begin", index)))
                if plan.conditional:
                    yield self._prepare(begun, index, client)
                else:
                    yield self._send(begun, index, client, "plain", entry(plan.value, plan.stamps[0]), 0)
            case "prepare":
                yield from self._prepared(world, index, client)
            case "finish" | "anew" | "accept" | "plain":
                yield from self._stored(world, index, client)

    def _prepare(self, world: World, index: int, client: Client) -> World:
        plan = self.plans[index]
        if client.tries >= len(plan.stamps):
            return self._end(world, index, "unknown" if client.doubtful else "nothing")
        ballot = plan.stamps[client.tries]
        moved = replace(client, phase="prepare", got=(None, None, None), about=None)
        sent = {Message(home, index, client.tries, "prepare", None, ballot) for home in HOMES}
        return replace(world, clients=_put(world.clients, index, moved), flying=world.flying | sent)

    def _again(self, world: World, index: int, client: Client) -> World:
        return self._prepare(world, index, replace(client, tries=client.tries + 1))

    def _send(self, world: World, index: int, client: Client, phase: str, new: Entry, ballot: int) -> World:
        moved = replace(client, phase=phase, got=(None, None, None), about=new)
        sent = {Message(home, index, client.tries, phase, new, ballot) for home in HOMES}
        return replace(world, clients=_put(world.clients, index, moved), flying=world.flying | sent)

    def _prepared(self, world: World, index: int, client: Client) -> Iterator[World]:
        replies = {home: one for home, one in enumerate(client.got) if isinstance(one, Promised)}
        if len(replies) < 2:
            if None not in client.got:
                yield self._again(world, index, client)
            return
        ballot = self.plans[index].stamps[client.tries]
        decision = self.rules.decide((HOMES,), (HOMES,), replies, KEY)
        if decision.step is Next.SETTLED:
            state = decision.state[0] if decision.state else None
            yield self._judge(world, index, client, state)
        elif decision.step is Next.FINISH:
            yield self._send(world, index, client, "finish", decision.entry, ballot)
        elif decision.step is Next.ANEW:
            yield self._send(world, index, client, "anew", anew(decision.entry, stamp(ballot)), ballot)

    def _judge(self, world: World, index: int, client: Client, state: Entry | None) -> World:
        plan = self.plans[index]
        own = self.rules.own_part(() if state is None else (state,), client.doubtful)
        if own is Own.DONE:
            return self._end(world, index, "done")
        if own is Own.UNKNOWN:
            return self._end(world, index, "unknown")
        if plan.conditional and value_of(state) != plan.expected:
            return self._end(world, index, "missed", value_of(state))
        ballot = plan.stamps[client.tries]
        return self._send(world, index, client, "accept", entry(plan.value, ballot), ballot)

    def _stored(self, world: World, index: int, client: Client) -> Iterator[World]:
        taken = sum(1 for one in client.got if one == "taken")
        everybody = None not in client.got
        if taken >= 2:
            if client.phase == "finish":
                yield self._judge(world, index, client, client.about)
            elif client.phase == "anew":
                yield self._again(world, index, client)
            else:
                yield self._end(world, index, "done")
        elif everybody and client.phase in ("finish", "anew"):
            yield self._again(world, index, client)
        elif everybody:
            yield self._not_taken(world, index, client, taken)

    def _not_taken(self, world: World, index: int, client: Client, taken: int) -> World:
        """Go on after a write that no majority took, as write_stamped and ConditionalWrite do."""
        assert client.about is not None
        hidden = sum(1 for one in client.got if one in ("hidden", "contested"))
        verdict = Verdict.HIDDEN if taken + hidden >= 2 else Verdict.FAILED
        after = self.rules.after_accept(verdict, unseen=hidden >= 2, anywhere=bool(taken))
        if after is After.DONE:
            return self._end(world, index, "done")
        if client.phase == "plain" and verdict is Verdict.HIDDEN and "contested" not in client.got:
            # Hidden by a plain write alone: as the ordinary rules have it, not what is tried here.
            return self._end(world, index, "unknown")
        doubtful = client.doubtful | {client.about.stamp} if after is After.DOUBT else client.doubtful
        return self._again(world, index, replace(client, doubtful=doubtful))

    def _end(self, world: World, index: int, *result: Any) -> World:
        clients = _put(world.clients, index, Client("ended"))
        return replace(world, clients=clients, history=(*world.history, ("end", index, *result)))

    # Readers.

    def _read(self, world: World, pair: tuple[int, int]) -> Iterator[World]:
        held = {home: world.replicas[home].base for home in pair}
        newest: Entry | None = None
        for one in held.values():
            newest = one if newest is None or (one is not None and one.stamp > newest.stamp) else newest
        replicas = world.replicas
        for home, one in held.items():
            if newest is not None and (one is None or one.stamp != newest.stamp):
                after, answer = self._store(replicas[home], newest, 0)
                if answer != "taken":
                    # It takes a ballot, which a conditional client with a plan of its own stands for.
                    return
                replicas = _set(replicas, home, after)
        history = (*world.history, ("read", -1, value_of(newest)))
        yield replace(world, replicas=replicas, history=history, reads=world.reads + 1)


Replicas = tuple[Replica, Replica, Replica]


def _set(replicas: Replicas, home: int, one: Replica) -> Replicas:
    first, second, third = (one if at == home else kept for at, kept in enumerate(replicas))
    return first, second, third


def _put(clients: tuple[Client, ...], index: int, client: Client) -> tuple[Client, ...]:
    return (*clients[:index], client, *clients[index + 1 :])


def overtaken(first: int, second: int) -> World:
    """Return a world in which client 0 has sent its write and client 1 has two promises that forbid it."""
    replicas = (
        Replica(promise=first, top=first),
        Replica(promise=second, top=second),
        Replica(promise=second, top=second),
    )
    clients = (
        Client("accept", 0, (None, None, None), entry("a", first)),
        Client("prepare", 0, (None, Promised(stamp(first), {}), Promised(ZERO, {}))),
    )
    flying = {Message(home, 0, 0, "accept", entry("a", first), first) for home in HOMES}
    flying.add(Message(0, 1, 0, "prepare", None, second))
    return World(replicas, clients, frozenset(flying), (("begin", 0), ("begin", 1)))


def hidden_behind_silence() -> World:
    """Return a world in which client 2 has two promises, and a write of client 0 it cannot know of lingers.

    Client 1 wrote plainly at stamp 5, and home 0 has that. Client 0 has judged nothing to be there, and home
    2 took its write at stamp 10. Client 2 heard homes 0 and 1 under its ballot 20.
    """
    plain, lingering = entry("p", 5), entry("b", 10)
    replicas = (
        Replica(plain, 20, frozenset((plain.stamp,)), 20),
        Replica(None, 20, frozenset(), 20),
        Replica(lingering, 0, frozenset((lingering.stamp,)), 10),
    )
    heard = (Promised(ZERO, {KEY: plain}), Promised(stamp(10), {}), None)
    clients = (
        Client("accept", 0, (None, None, "taken"), lingering),
        Client("plain", 0, ("taken", None, None), plain),
        Client("prepare", 0, heard),
        Client(),
    )
    flying = frozenset(
        (
            *(Message(home, 0, 0, "accept", lingering, 10) for home in (0, 1)),
            *(Message(home, 1, 0, "plain", plain, 0) for home in (1, 2)),
            Message(2, 2, 0, "prepare", None, 20),
        )
    )
    return World(replicas, clients, flying, (("begin", 0), ("begin", 1), ("begin", 2)))
