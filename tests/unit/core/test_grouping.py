"""Group commit: nobody waits alone, nobody is done twice, nobody answers for another."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from memory_fabric.core.errors import InputError
from memory_fabric.core.grouping import Group


def test_who_comes_alone_is_done_at_once() -> None:
    group: Group[int, int] = Group()
    done: list[Sequence[int]] = []

    def work(items: Sequence[int]) -> list[int]:
        done.append(items)
        return [2 * item for item in items]

    assert [group.do(number, work) for number in range(3)] == [0, 2, 4]
    assert done == [[0], [1], [2]]


def test_who_comes_meanwhile_shares_the_next_group() -> None:
    group: Group[int, int] = Group(size=lambda item: item, most=10)
    begun, go = threading.Event(), threading.Event()
    done: list[Sequence[int]] = []

    def work(items: Sequence[int]) -> list[int]:
        done.append(items)
        if items == [1]:
            begun.set()
            go.wait(10)
        return list(items)

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(group.do, 1, work)
        begun.wait(10)
        rest = []
        for waiting, item in enumerate((2, 3, 4, 20, 5), 1):
            rest.append(pool.submit(group.do, item, work))
            while len(group) < waiting:
                pass
        go.set()
        assert [future.result(10) for future in [first, *rest]] == [1, 2, 3, 4, 20, 5]
    assert done == [[1], [2, 3, 4], [20], [5]]


def test_each_gets_its_own_result_or_error() -> None:
    group: Group[int, int] = Group()
    calls: list[int] = []

    def work(items: Sequence[int]) -> list[int | Exception]:
        calls.extend(items)
        return [InputError("odd", "An odd number.") if item % 2 else item for item in items]

    def ask(number: int) -> int:
        try:
            return group.do(number, work)
        except InputError as error:
            error.details["receipt"] = number  # as callers do: it must be nobody else's error
            return -number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [-n if n % 2 else n for n in range(200)]
    assert sorted(calls) == list(range(200))


def test_where_a_group_fails_all_of_it_hears_and_the_next_goes_on() -> None:
    group: Group[int, int] = Group(most=4)
    failures: list[InputError] = []

    def work(items: Sequence[int]) -> list[int]:
        if any(item % 10 == 0 for item in items):
            raise InputError("ten", "There is a ten among them.")
        return list(items)

    def ask(number: int) -> int | None:
        try:
            return group.do(number, work)
        except InputError as error:
            failures.append(error)
            return None

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(100)))
    assert all(answer in (None, number) for number, answer in enumerate(answers))
    assert all(answers[number] is None for number in range(0, 100, 10))
    assert len({id(error) for error in failures}) == len(failures)
    assert group.do(1, work) == 1


def test_an_interrupted_leader_leaves_nobody_waiting() -> None:
    group: Group[int, int] = Group()

    def work(items: Sequence[int]) -> list[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        group.do(1, work)
    assert group.do(2, lambda items: list(items)) == 2


def test_who_stops_waiting_holds_up_nobody() -> None:
    group: Group[int, int] = Group()
    begun, go = threading.Event(), threading.Event()

    def slow(items: Sequence[int]) -> list[int]:
        begun.set()
        go.wait(10)
        return list(items)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with ThreadPoolExecutor(2) as pool:
            leader = pool.submit(group.do, 1, slow)
            begun.wait(10)
            me = threading.get_ident(), signal.SIGUSR1
            threading.Timer(0.05, signal.pthread_kill, me).start()
            with pytest.raises(KeyboardInterrupt):
                group.do(2, slow)
            later = pool.submit(group.do, 3, slow)
            go.set()
            assert [leader.result(10), later.result(10)] == [1, 3]
            assert group.do(4, slow) == 4
    finally:
        signal.signal(signal.SIGUSR1, before)
