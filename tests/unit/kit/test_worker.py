"""Workers keep their pace by an injected clock, and can be paused, woken and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kit.worker import Step, TokenBucket, Worker, WorkerState


class Time:
    """A clock that only moves when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(bounded())


def test_a_worker_rests_in_proportion_to_its_work_and_waits_when_idle() -> None:
    time = Time()
    found = iter([Step.MORE, Step.MORE, Step.IDLE, Step.DONE])

    async def step(worker: Worker) -> Step:
        time.now += 2.0
        worker.progress(3, 10)
        return next(found)

    async def main() -> None:
        worker = Worker("w", step, interval_s=30, tranquility=1.5, clock=time.clock, sleep=time.sleep)
        await worker.run()
        assert time.slept == [3.0, 3.0, 30]
        status = worker.status()
        assert (status.state, status.done_count, status.total_count) == (WorkerState.DONE, 3, 10)
        assert status.busy_s == 8.0

    run(main)


def test_time_spent_waiting_for_the_rate_is_no_work() -> None:
    time = Time()
    found = iter([Step.MORE, Step.DONE])

    async def step(worker: Worker) -> Step:
        await worker.pace(300)
        time.now += 1.0
        return next(found)

    async def main() -> None:
        bucket = TokenBucket(100)
        worker = Worker(
            "w", step, interval_s=1, tranquility=1, bucket=bucket, clock=time.clock, sleep=time.sleep
        )
        await worker.run()
        assert time.slept[:2] == [2.0, 1.0]

    run(main)


def test_errors_are_counted_and_the_pause_grows() -> None:
    time = Time()
    outcomes: Iterator[Exception | Step] = iter(
        [KeyError("a"), OSError("b"), OSError("c"), Step.IDLE, Step.DONE]
    )

    async def step(worker: Worker) -> Step:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def main() -> None:
        worker = Worker("w", step, interval_s=7, clock=time.clock, sleep=time.sleep)
        await worker.run()
        assert time.slept == [1.0, 2.0, 4.0, 7]
        assert worker.status().errors_count == 3
        assert worker.status().last_error == "OSError: c"

    run(main)


def test_a_paused_worker_begins_nothing_and_a_woken_one_does_not_wait() -> None:
    ran = asyncio.Event()

    async def step(worker: Worker) -> Step:
        ran.set()
        return Step.IDLE

    async def main() -> None:
        worker = Worker("w", step, interval_s=3600)
        worker.pause()
        worker.start()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not ran.is_set()
        assert worker.status().state is WorkerState.PAUSED
        worker.resume()
        await ran.wait()
        ran.clear()
        await asyncio.sleep(0)
        worker.wake()
        await ran.wait()
        await worker.cancel()
        assert worker.status().state is WorkerState.DONE

    run(main)


def test_cancelling_ends_a_step_in_the_middle() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def step(worker: Worker) -> Step:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return Step.MORE

    async def main() -> None:
        worker = Worker("w", step, interval_s=1)
        worker.start()
        await started.wait()
        await worker.cancel()
        assert ended.is_set()

    run(main)


@given(
    rate=st.floats(min_value=1, max_value=1e6),
    takes=st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=30),
)
def test_a_bucket_never_lets_more_than_its_rate_and_burst_through(rate: float, takes: list[float]) -> None:
    bucket, now, let_through = TokenBucket(rate, burst_s=1.0), 0.0, 0.0
    for units in takes:
        now += bucket.take(units, now)
        let_through += units
        assert let_through <= rate * (now + 1.0) * (1 + 1e-6) + 1e-6


def test_no_rate_is_no_limit() -> None:
    assert TokenBucket(0).take(1e12, 0.0) == 0.0
