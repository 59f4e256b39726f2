"""The port ``Ledger``: what flows count on, from SQL and from the fake alike."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.core.access import Form, Plan, Requester, Role
from memory_fabric.core.errors import InputError, IntegrityViolated, NotFound
from memory_fabric.core.labels import Consent, DataClass, LabelClass
from memory_fabric.core.lease import Lease, LeasedRow, LeaseState, lease_digests
from memory_fabric.core.ledger_ports import App, Ledger
from memory_fabric.core.merkle import is_consistent, leaf_hash, root_from_inclusion
from memory_fabric.core.places import Region
from memory_fabric.core.receipt import Commit, Outcome, Receipt
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.core.records import CatalogChange, CatalogChanges, CatalogEntry
from tests.fakes.ledger import MemoryLedger

KEY = Ed25519PrivateKey.generate()


@pytest.fixture(params=["sql", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger("fra-1", KEY.sign)
        return
    public = KEY.public_key().public_bytes_raw()
    made = SqlLedger.create(
        tmp_path / "ledger.db", "fra-1", KEY.sign, public, tmp_path / "ledger.anchor"
    )
    yield made
    made.close()


def receipt(
    change: CatalogChange | None = None, act: str = "recall", outcome: Outcome = Outcome.DONE
) -> Receipt:
    return Receipt(
        id=secrets.token_hex(8),
        at=datetime(2026, 1, 1, tzinfo=UTC),
        site="fra-1",
        act=act,
        outcome=outcome,
        request={"purpose": "care", "note": "ümlaut \N{SNOWMAN}"},
        decisions=(),
        bundle="b" * 64,
        roster="r" * 64,
        records_root=change.root if change else None,
    )


def entry(version: int = 1, rid: bytes | None = None) -> CatalogEntry:
    return CatalogEntry(rid or secrets.token_bytes(16), version, secrets.token_bytes(32))


def test_an_empty_log_has_a_signed_checkpoint(ledger: Ledger) -> None:
    checkpoint = ledger.checkpoint()
    assert (checkpoint.origin, checkpoint.size) == ("memory-fabric/fra-1", 0)
    KEY.public_key().verify(checkpoint.signature, checkpoint.body)
    assert ledger.receipts(None, 10) == []
    assert list(ledger.catalog()) == []
    assert ledger.verify() == []


def test_each_receipt_is_provable_under_a_signed_root(ledger: Ledger) -> None:
    written = [receipt() for _ in range(9)]
    committed = [ledger.commit(item) for item in written]
    assert [item.index for item in committed] == list(range(9))
    newest = ledger.checkpoint()
    assert committed[-1].checkpoint == newest
    KEY.public_key().verify(newest.signature, newest.body)
    for index, item in enumerate(written):
        proof = ledger.proof(item.id)
        assert (proof.index, proof.checkpoint) == (index, newest)
        assert proof.leaf == leaf_hash(item.canonical())
        assert root_from_inclusion(proof.leaf, index, 9, proof.path) == newest.root


def test_a_log_is_proved_at_every_size_that_it_had(ledger: Ledger) -> None:
    written = [receipt() for _ in range(6)]
    given_out = [ledger.checkpoint(), *(ledger.commit(item).checkpoint for item in written)]
    for size, then in enumerate(given_out):
        assert ledger.checkpoint(size) == then
        for later in given_out[size:]:
            path = ledger.consistency(size, then.root, later.size)
            assert path is not None
            assert is_consistent(size, then.root, later.size, later.root, path)
        for index, item in enumerate(written):
            if index < size:
                proof = ledger.proof(item.id, size)
                assert proof.checkpoint == then
                assert root_from_inclusion(item.leaf, index, size, proof.path) == then.root
            else:
                with pytest.raises(InputError, match="size"):
                    ledger.proof(item.id, size)
    for never in (-1, 7):
        with pytest.raises(InputError) as caught:
            ledger.checkpoint(never)
        assert caught.value.code == "log-size"
    assert ledger.consistency(2, bytes(32)) is None
    assert ledger.consistency(5, given_out[5].root, 4) is None


def test_receipts_come_back_as_they_were(ledger: Ledger) -> None:
    one = receipt()
    ledger.commit(one)
    assert ledger.receipt(one.id) == {**one.to_json(), "index": 0}
    for ask in (ledger.receipt, ledger.proof):
        with pytest.raises(NotFound) as caught:
            ask("nobody")
        assert caught.value.code == "receipt-unknown"


def test_receipts_are_listed_newest_first_in_pages(ledger: Ledger) -> None:
    acts = ["recall", "erase", "recall", "remember", "recall"]
    for number, act in enumerate(acts):
        outcome = Outcome.DENIED if number == 2 else Outcome.DONE
        ledger.commit(receipt(act=act, outcome=outcome))

    def indexes(before: int | None, limit: int, **only: str) -> list[int]:
        return [item["index"] for item in ledger.receipts(before, limit, Wanted(**only))]

    assert indexes(None, 2) == [4, 3]
    assert indexes(3, 2) == [2, 1]
    assert indexes(1, 9) == [0]
    assert indexes(None, 9, act="recall") == [4, 2, 0]
    assert indexes(None, 9, act="recall", outcome="denied") == [2]
    assert indexes(4, 1, outcome="done") == [3]


def asked(app: str, site: str, rule: str, hour: int, *, allowed: bool = True) -> Receipt:
    """A recall by an app, from a site, that a rule answered."""
    return replace(
        receipt(outcome=Outcome.DONE if allowed else Outcome.DENIED),
        at=datetime(2026, 1, 1, hour, tzinfo=UTC),
        request={
            "requester": {"name": app, "tenant": app[:4], "role": "app"},
            "purpose": "care",
            "destination": site,
        },
        decisions=[{"site": site, "allowed": allowed, "rules": [rule], "form": "full"}],
        facts={"forms": {"full": 2}} if allowed else {},
    )


def test_receipts_are_found_by_what_they_are_known_by(ledger: Ledger) -> None:
    written = [
        asked("acme-desk", "fra-1", "home-use", 1),
        asked("acme-desk", "lon-1", "uk-bridge", 2),
        asked("acme-lab", "lon-1", "no-transfer", 3, allowed=False),
        asked("zeta-lab", "fra-1", "home-use", 4),
    ]
    for item in written:
        ledger.commit(item)

    def found(**wanted: Any) -> list[int]:
        return [item["index"] for item in ledger.receipts(None, 9, Wanted(**wanted))]

    assert found(app="acme-lab") == [2]
    assert found(site="lon-1") == [2, 1]
    assert found(purpose="care", outcome="denied") == [2]
    assert found(rule="home-use") == [3, 0]
    assert found(rule="no-transfer") == [2]
    assert found(text="LAB") == [3, 2]
    assert found(text="lab lon") == [2]
    assert found(text="nothing of the kind") == []
    assert found(text=written[1].id[:10]) == [1]
    assert found(text=written[1].id[:10], app="acme-lab") == []
    assert found(tenants=frozenset({"zeta"})) == [3]
    assert found(tenants=frozenset({"acme"}), text=written[3].id) == []
    assert found(tenants=frozenset()) == []
    assert found(since=datetime(2026, 1, 1, 2, tzinfo=UTC)) == [3, 2, 1]
    assert found(until=datetime(2026, 1, 1, 2, tzinfo=UTC)) == [0]
    assert found(since=datetime(2026, 1, 1, 2, tzinfo=UTC), site="fra-1") == [3]


def test_receipts_are_counted_by_what_they_are_known_by(ledger: Ledger) -> None:
    for hour in (1, 3, 2):
        ledger.commit(asked("acme-desk", "lon-1", "uk-bridge", hour))
    ledger.commit(asked("acme-lab", "lon-1", "no-transfer", 5, allowed=False))
    usual, refused = sorted(ledger.tally(), key=lambda item: item.newest)
    assert (usual.receipts, refused.receipts) == (3, 1)
    assert usual.newest == datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert usual.named("grants") == {"uk-bridge"}
    assert (usual.named("to"), usual.named("form")) == ({"lon-1"}, {"full"})
    assert refused.named("refuses") == {"no-transfer"}
    assert refused.named("form") == frozenset()
    (only,) = ledger.tally(Wanted(until=datetime(2026, 1, 1, 3, tzinfo=UTC)))
    assert only.receipts == 2


def test_the_catalog_holds_each_record_in_its_last_version(ledger: Ledger) -> None:
    kept, changed, erased = entry(), entry(), entry()
    first = CatalogChange(1, written=[kept, changed, erased])
    ledger.commit(receipt(first), first)
    newer = entry(2, changed.rid)
    second = CatalogChange(2, written=[newer])
    ledger.commit(receipt(second), second)
    third = CatalogChange(3, removed=[erased])
    ledger.commit(receipt(third), third)
    both = CatalogChange(4, written=[entry(3, changed.rid)], removed=[kept])
    ledger.commit(receipt(both), both)
    assert list(ledger.catalog()) == list(both.written)
    assert ledger.verify() == []


def test_the_catalog_tells_what_changed_since_an_older_root(ledger: Ledger) -> None:
    old, changed, erased, fresh = entry(), entry(), entry(), entry()
    first = CatalogChange(1, written=[old, changed, erased])
    ledger.commit(receipt(first), first)
    then = ledger.checkpoint()
    assert ledger.changes(then.size, then.root) == CatalogChanges([], removed=False)
    again, last = entry(2, changed.rid), entry(3, changed.rid)
    for change in (
        CatalogChange(2, written=[again, fresh]), CatalogChange(3, written=[last]),
    ):  # fmt: skip
        ledger.commit(receipt(change), change)
        ledger.commit(receipt())
    changes = ledger.changes(then.size, then.root)
    assert changes is not None
    assert not changes.removed
    assert sorted(changes.written, key=lambda item: item.rid) == sorted(
        [last, fresh], key=lambda item: item.rid
    )
    change = CatalogChange(4, removed=[erased, fresh])
    ledger.commit(receipt(change), change)
    assert ledger.changes(then.size, then.root) == CatalogChanges([last], removed=True)
    assert ledger.changes(then.size, bytes(32)) is None
    assert ledger.changes(ledger.checkpoint().size + 1, then.root) is None


def test_a_change_that_does_not_follow_is_refused_whole(ledger: Ledger) -> None:
    known = entry()
    change = CatalogChange(1, written=[known])
    ledger.commit(receipt(change), change)
    before = ledger.checkpoint()
    other = entry()
    for wrong in (
        CatalogChange(2, written=[other, entry(1, known.rid)]),  # it exists
        CatalogChange(2, written=[other, entry(3, known.rid)]),  # a version is left out
        CatalogChange(2, written=[other, entry(2)]),  # it never had a first version
        CatalogChange(2, written=[other], removed=[entry(1, known.rid)]),  # another digest
        CatalogChange(2, written=[other], removed=[entry()]),  # unknown
    ):
        with pytest.raises(IntegrityViolated):
            ledger.commit(receipt(wrong), wrong)
    removal = CatalogChange(2, removed=[known])
    ledger.commit(receipt(removal), removal)
    with pytest.raises(IntegrityViolated):
        ledger.commit(receipt(removal), removal)
    assert list(ledger.catalog()) == []
    assert ledger.checkpoint().size == before.size + 1
    assert ledger.verify() == []


def test_a_receipt_must_account_for_its_change(ledger: Ledger) -> None:
    change = CatalogChange(1, written=[entry()])
    for wrong in (
        replace(receipt(change), records_root=None),
        replace(receipt(change), records_root="0" * 64),
        replace(receipt(change), site="lon-1"),
    ):
        with pytest.raises(ValueError, match="accounts for"):
            ledger.commit(wrong, change)
    with pytest.raises(ValueError, match="accounts for"):
        ledger.commit(receipt(change))
    assert ledger.checkpoint().size == 0


def test_several_acts_are_committed_together(ledger: Ledger) -> None:
    one, other = entry(), entry()
    first = CatalogChange(1, written=[one, other])
    second = CatalogChange(1, written=[entry(2, one.rid)], removed=[other])
    acts = [
        Commit(receipt(first), first),
        Commit(receipt()),
        Commit(receipt(second), second),
    ]
    committed = ledger.commit_all(acts)
    newest = ledger.checkpoint()
    assert [(item.receipt, item.index) for item in committed] == [
        (act.receipt, index) for index, act in enumerate(acts)
    ]
    assert {item.checkpoint for item in committed} == {newest}
    assert list(ledger.catalog()) == list(second.written)
    for act in acts:
        proof = ledger.proof(act.receipt.id)
        assert root_from_inclusion(proof.leaf, proof.index, 3, proof.path) == newest.root
    assert ledger.verify() == []


def test_of_several_acts_all_are_committed_or_none(ledger: Ledger) -> None:
    good, wrong = CatalogChange(1, written=[entry()]), CatalogChange(1, removed=[entry()])
    twice = receipt()
    for acts, refusal in (
        ([Commit(receipt(good), good), Commit(receipt(wrong), wrong)], IntegrityViolated),
        ([Commit(receipt(good), good), Commit(twice), Commit(twice)], InputError),
    ):
        with pytest.raises(refusal):
            ledger.commit_all(acts)
    assert ledger.checkpoint().size == 0
    assert list(ledger.catalog()) == []
    assert ledger.verify() == []


def test_an_act_that_is_refused_fails_alone(ledger: Ledger) -> None:
    used = receipt()
    ledger.commit(used)

    def act(number: int) -> int | None:
        removal = CatalogChange(1, removed=[entry()])
        wrong = {1: (used, None), 2: (receipt(removal), removal)}.get(number % 4)
        if wrong is None:
            return ledger.commit(receipt()).index
        with pytest.raises((InputError, IntegrityViolated)):
            ledger.commit(*wrong)
        return None

    with ThreadPoolExecutor(8) as pool:
        indexes = [index for index in pool.map(act, range(64)) if index is not None]
    assert sorted(indexes) == list(range(1, 33))
    assert ledger.verify() == []


def test_a_receipt_id_is_used_once(ledger: Ledger) -> None:
    one = receipt()
    ledger.commit(one)
    with pytest.raises(InputError) as caught:
        ledger.commit(one)
    assert caught.value.code == "receipt-exists"
    assert ledger.checkpoint().size == 1
    ledger.commit(receipt())
    assert ledger.verify() == []


def test_committers_and_readers_at_once(ledger: Ledger) -> None:
    def act(_: int) -> int:
        change = CatalogChange(1, written=[entry()])
        mine = receipt(change)
        committed = ledger.commit(mine, change)
        proof = ledger.proof(mine.id)
        root = root_from_inclusion(proof.leaf, proof.index, proof.checkpoint.size, proof.path)
        assert root == proof.checkpoint.root
        assert len(list(ledger.catalog())) >= 1
        return committed.index

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(act, range(48))) == list(range(48))
    assert ledger.verify() == []
    assert len(list(ledger.catalog())) == 48


def test_apps(ledger: Ledger) -> None:
    def app(name: str, key_id: str) -> App:
        requester = Requester(name, "acme", Role.COMPLIANCE, frozenset({"care", "billing"}), True)
        return App(name, key_id, "h" * 64, requester, datetime(2026, 1, 1, tzinfo=UTC))

    second, first = app("zeta", "k1"), app("alpha", "k2")
    ledger.add_app(second)
    ledger.add_app(first)
    assert ledger.app("k1") == second
    assert ledger.app("k3") is None
    assert ledger.apps() == [first, second]
    same: list[Callable[[], None]] = [
        lambda: ledger.add_app(app("alpha", "k3")),
        lambda: ledger.add_app(app("other", "k1")),
    ]
    for again in same:
        with pytest.raises(InputError) as caught:
            again()
        assert caught.value.code == "app-exists"
    assert ledger.apps() == [first, second]
    ledger.remove_app("zeta")
    ledger.remove_app("nobody")
    assert ledger.app("k1") is None
    assert ledger.apps() == [first]
    assert ledger.verify() == []


def lease(name: str = "lease-1", state: LeaseState = LeaseState.SENT, **fields: Any) -> Lease:
    known: dict[str, Any] = {
        "package": "package-1", "sequence": 1, "manifest": "m" * 64,
        "origin": "fra-1", "destination": "lon-1", "tenant": "acme", "purpose": "care",
        "label_class": LabelClass(
            Region("DE"), "acme", DataClass.CONFIDENTIAL, True, frozenset(), frozenset({"care"}),
            Consent.NONE,
        ),
        "form": Form.VECTORS_ONLY, "plan": Plan(), "rules": ("eu-adequacy",),
        "expires_at": datetime(2026, 1, 2, tzinfo=UTC),
        "rows": (LeasedRow("row-1", b"\x01" * 16, 1, state),),
    }  # fmt: skip
    return Lease(id=name, **{**known, **fields})


def leasing(*leases: Lease) -> Receipt:
    return replace(receipt(act="export"), facts={"leases": lease_digests(leases)})


def test_leases_stand_in_their_newest_state_in_the_order_of_their_making(ledger: Ledger) -> None:
    first, second = lease("b"), lease("a", origin="lon-1", destination="fra-1")
    ledger.commit(leasing(first, second), None, [first, second])
    assert ledger.leases() == [first, second]
    ended = lease("b", LeaseState.ENDED)
    ledger.commit(leasing(ended), None, [ended])
    assert ledger.leases() == [ended, second]
    assert ledger.leases(origin="fra-1") == [ended]
    assert ledger.leases(destination="fra-1") == [second]
    assert ledger.leases(origin="fra-1", destination="fra-1") == []
    assert ledger.verify() == []


def test_a_receipt_accounts_for_the_leases_that_it_changes(ledger: Ledger) -> None:
    for claimed, changed in (([], [lease()]), ([lease()], []), ([lease()], [lease("other")])):
        with pytest.raises(ValueError, match="accounts"):
            ledger.commit(leasing(*claimed), None, changed)
    assert ledger.leases() == []
