"""Of many clients that race for one key on a condition exactly one wins, while processes are killed.

The race lasts COLONNADE_RACE_SECONDS (default 10). A failure prints the seed; COLONNADE_RACE_SEED repeats its
choices.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.colony import Colony
from tests.support.linearizability import Act, Operation, is_linearizable
from tests.support.mixed_load import s3_client

SECONDS = float(os.environ.get("COLONNADE_RACE_SECONDS", "10"))
SEED = int(os.environ.get("COLONNADE_RACE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
CLIENTS = 64
BUCKET = "race"
LOSSES = ("PreconditionFailed", "ConditionalRequestConflict")

pytestmark = pytest.mark.timeout(SECONDS + 300)


class Race:
    """The clients, and what each of them saw of each key."""

    def __init__(self, colony: Colony) -> None:
        of_nodes = [colony.endpoints_of(node) for node in (1, 2, 3)]
        self._clients = [
            s3_client(one["s3"], one["access_key"], one["secret_key"], attempts=1)
            for one in itertools.islice(itertools.cycle(of_nodes), CLIENTS)
        ]
        self._patient = s3_client(
            of_nodes[0]["s3"], of_nodes[0]["access_key"], of_nodes[0]["secret_key"], attempts=10
        )
        self._moments = itertools.count()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self.rounds = self.won = self.lost = self.unsure = 0

    def begin(self) -> None:
        """Make the bucket."""
        self._patient.create_bucket(Bucket=BUCKET)

    def round(self, number: int) -> None:
        """Race to create a key, then twice to replace what is there; raise AssertionError for two winners."""
        key = f"key-{number % 4}-{number}"
        history: list[Operation] = []
        held: str | None = None
        etag = ""
        for step in range(3):
            condition = {"IfMatch": etag} if held else {"IfNoneMatch": "*"}
            puts = [
                self._pool.submit(self._put, index, key, f"{step}.{index}", held, condition)
                for index in range(CLIENTS)
            ]
            found = [put.result() for put in puts]
            history += found
            winners = [one for one in found if one.act is Act.SWAP and one.ended is not None]
            unsure = [one for one in found if one.ended is None]
            assert len(winners) <= 1, f"{len(winners)} clients won {key} at once: {winners}"
            held, etag = self._get(key, history)
            assert winners or unsure, f"nobody won {key}, and nobody was left in doubt"
            self.won += len(winners)
            self.unsure += len(unsure)
            self.lost += len(found) - len(winners) - len(unsure)
        assert is_linearizable(history), "\n".join(map(str, history))
        self.rounds += 1

    def _put(
        self, index: int, key: str, value: str, held: str | None, condition: dict[str, Any]
    ) -> Operation:
        begun = next(self._moments)
        act, ended = Act.SWAP, None
        try:
            self._clients[index].put_object(Bucket=BUCKET, Key=key, Body=value.encode(), **condition)
            ended = next(self._moments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == LOSSES[0]:
                return Operation(Act.MISS, held, begun, next(self._moments), str(index))
            if code == LOSSES[1]:
                # Nothing was done, and nothing was seen: a read of whatever was there.
                return Operation(Act.MISS, "nothing", begun, next(self._moments), str(index))
        except BotoCoreError:
            # The process behind it was killed: it may have been done, or not.
            pass
        return Operation(act, value, begun, ended, str(index), held)

    def _get(self, key: str, history: list[Operation]) -> tuple[str | None, str]:
        begun = next(self._moments)
        try:
            answer = self._patient.get_object(Bucket=BUCKET, Key=key)
        except self._patient.exceptions.NoSuchKey:
            history.append(Operation(Act.READ, None, begun, next(self._moments), "get"))
            return None, ""
        value: str = answer["Body"].read().decode()
        history.append(Operation(Act.READ, value, begun, next(self._moments), "get"))
        return value, answer["ETag"]


def _kill_now_and_then(colony: Colony, chance: random.Random, over: Callable[[float], bool]) -> int:
    killed = 0
    while not over(chance.uniform(0.3, 1.5)):
        role = chance.choice(["objectd", "proxy", "replicator"])
        node = chance.randrange(1, 4)
        try:
            victim = colony.kill(role, node=node)
        except (ProcessLookupError, IndexError, KeyError):
            # It is being started again just now.
            continue
        killed += 1
        if role == "objectd":
            # With two nodes of three away nobody could win, nor lose.
            colony.wait_revived(role, victim, node=node)
    return killed


def test_of_64_clients_exactly_one_wins_each_race_while_processes_die(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    over = threading.Event()
    with Colony(tmp_path / "data", nodes=3, devices=1, workers=1) as colony:
        race = Race(colony)
        race.begin()
        with ThreadPoolExecutor(1) as pool:
            killer = pool.submit(_kill_now_and_then, colony, chance, over.wait)
            try:
                give_up = time.monotonic() + SECONDS
                for number in itertools.count():
                    race.round(number)
                    if time.monotonic() > give_up:
                        break
            except AssertionError as error:
                raise AssertionError(f"seed {SEED}: {error}") from error
            finally:
                over.set()
            killed = killer.result()
    print(
        f"seed {SEED}: {race.rounds} keys, {race.won} races won outright, {race.unsure} clients in doubt, "
        f"{race.lost} losers, {killed} processes killed"
    )
    assert race.won > 0
    assert killed > 0
