"""Letters: read by the one they are for, once, soon, and from whom they say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from memory_fabric.core.access import Act, Form, Rule, named
from memory_fabric.core.errors import InputError, IntegrityViolated
from memory_fabric.core.places import Region, Roster, Site, Tier
from memory_fabric.core.receipt import Checkpoint, Committed, Outcome, Receipt
from memory_fabric.gate.permits import PermitVoid, Release, Shown, discharged, release
from memory_fabric.vault import letters as rules_of_the_post
from memory_fabric.vault.identity import (
    Identity,
    Signer,
    Unsealer,
    new_identity,
    seal_to,
    verify_signature,
)
from memory_fabric.vault.letters import FRESH, Letter, Letters
from tests.fakes.vault import LATER, NOON, VECTOR, Bench, a_memory

RULE = Rule("health-stays", "Health data stays", "GDPR Art. 9")


class SetClock:
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


class Post:
    """Three sites that know each other."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.identities = {name: new_identity() for name in ("fra-1", "lon-1", "iad-1")}
        self.sites = {name: a_site(name, keys) for name, keys in self.identities.items()}
        self.roster = Roster(1, dict(self.sites))
        self.letters = {
            name: Letters(
                name,
                Signer(keys.signing_secret),
                Unsealer(keys.sealing_secret),
                lambda: self.roster,
                self.clock,
            )
            for name, keys in self.identities.items()
        }

    def question(self, origin: str = "fra-1", to: str = "lon-1") -> rules_of_the_post.SealedLetter:
        header = {"kind": "recall", "purpose": "care"}
        return self.letters[origin].seal(a_release(origin, to), header, to=self.sites[to])


def a_site(name: str, keys: Identity) -> Site:
    return Site(
        name, Region("DE"), Tier.EDGE, frozenset({"acme"}), "e" * 64,
        keys.signing_key, keys.sealing_key, f"/homes/{name}",
    )  # fmt: skip


def a_release(origin: str = "fra-1", to: str = "lon-1") -> Release:
    bench, query = Bench(origin), a_memory("ada", text="zqx what does she drink?")
    permit = bench.permit(query.label, act=Act.QUERY, subject="ada", destination=to)
    opened = bench.vault.vouch(permit, query, LATER)
    shown = Shown(
        "m-1", Form.FULL, query.label.label_class, query.text, VECTOR, "e" * 64, 0.5, ("r",), {}
    )
    receipt = Receipt("r-1", NOON, origin, "query", Outcome.DONE, {}, (), "b", "r")
    committed = Committed(receipt, 0, Checkpoint("memory-fabric/" + origin, 1, bytes(32)))
    return release([discharged(opened, [shown], ())], committed)


@pytest.fixture
def post() -> Post:
    return Post()


def code_of(post: Post, sealed: bytes, reader: str = "lon-1", **answer: object) -> str:
    with pytest.raises((IntegrityViolated, InputError)) as refused:
        post.letters[reader].open(sealed, **answer)  # type: ignore[arg-type]
    return refused.value.code


def test_a_letter_arrives_with_its_items(post: Post) -> None:
    letter = post.letters["lon-1"].open(post.question().sealed)
    assert letter.sender == post.sites["fra-1"]
    assert letter.sent_at == NOON
    assert letter.body["purpose"] == "care"
    (item,) = letter.body["items"]
    assert item["memory"] == "zqx what does she drink?"
    assert (item["form"], item["score"], item["rules"]) == ("full", 0.5, ["r"])


def test_whoever_carries_it_reads_nothing_of_it(post: Post) -> None:
    question = post.question()
    assert b"zqx" not in question.sealed
    assert b"care" not in question.sealed
    assert "zqx" not in repr(post.letters["lon-1"].open(question.sealed))
    assert code_of(post, question.sealed, "iad-1") == "letter-not-for-us"


def test_every_changed_byte_and_every_cut_is_refused(post: Post) -> None:
    sealed = post.question().sealed
    codes = {"letter-forged", "letter-not-for-us"}
    for at in [*range(260), *range(260, len(sealed), 29), len(sealed) - 1]:
        assert code_of(post, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]) in codes
        assert code_of(post, sealed[:at]) in codes
    post.letters["lon-1"].open(sealed)


def test_a_letter_signed_by_another_than_it_names_is_forged(post: Post) -> None:
    mallory = Letters(
        "fra-1",
        Signer(post.identities["iad-1"].signing_secret),
        Unsealer(post.identities["iad-1"].sealing_secret),
        lambda: post.roster,
        post.clock,
    )
    letter = mallory.seal(a_release(), {}, to=post.sites["lon-1"])
    assert code_of(post, letter.sealed) == "letter-forged"


def test_a_sender_that_the_roster_lost_is_not_believed(post: Post) -> None:
    question = post.question()
    post.roster = Roster(2, {name: post.sites[name] for name in ("lon-1", "iad-1")})
    assert code_of(post, question.sealed) == "letter-forged"


def test_a_signed_body_sealed_for_another_envelope_is_forged(post: Post) -> None:
    """A sender cannot pass on what it was sent: the body is bound to its first envelope."""
    sealed = post.question("iad-1").sealed
    end = 8 + int.from_bytes(sealed[4:8], "big")
    envelope = json.loads(sealed[8:end]) | {"from": "fra-1"}
    text = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    signed = sealed[:4] + len(text).to_bytes(4, "big") + text + sealed[end:-64]
    signature = Signer(post.identities["fra-1"].signing_secret).sign(signed)
    assert code_of(post, signed + signature) == "letter-forged"


def test_a_letter_is_read_once(post: Post) -> None:
    question = post.question()
    post.letters["lon-1"].open(question.sealed)
    assert code_of(post, question.sealed) == "letter-replayed"


@pytest.mark.parametrize("late", [FRESH + timedelta(seconds=1), -FRESH - timedelta(seconds=1)])
def test_a_letter_is_read_soon(post: Post, late: timedelta) -> None:
    question = post.question()
    post.clock.time += late
    assert code_of(post, question.sealed) == "letter-stale"


def test_no_replay_is_forgotten_while_it_would_be_fresh(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_of_the_post, "MAX_REMEMBERED", 3)
    read = [post.question() for _ in range(3)]
    for question in read:
        post.letters["lon-1"].open(question.sealed)
    with pytest.raises(Exception, match="Too many letters"):
        post.letters["lon-1"].open(post.question().sealed)
    assert code_of(post, read[0].sealed) == "letter-replayed"
    post.clock.time += 2 * FRESH
    assert code_of(post, read[0].sealed) == "letter-stale"
    post.letters["lon-1"].open(post.question().sealed)


class TestAnswers:
    def asked(self, post: Post) -> tuple[rules_of_the_post.SealedLetter, Letter]:
        question = post.question()
        return question, post.letters["lon-1"].open(question.sealed)

    def test_a_refusal_holds_rules(self, post: Post) -> None:
        question, read = self.asked(post)
        header = {"kind": "answer", "offered": [], "withheld": named((RULE,)), "receipt": "r-2"}
        answer = post.letters["lon-1"].seal_refusal(header, to=read.sender, reply_to=read)
        body = post.letters["fra-1"].open(answer.sealed, reply_to=question).body
        assert body == {**header, "items": []}

    @pytest.mark.parametrize(
        "smuggled",
        [
            {"items": ["text"]},
            {"note": "text"},
            {"offered": [{"tenant": "acme"}]},
            {"withheld": [{"id": "r", "title": "t", "basis": "b", "text": "t"}]},
        ],
    )
    def test_a_refusal_holds_nothing_else(self, post: Post, smuggled: dict[str, object]) -> None:
        _, read = self.asked(post)
        with pytest.raises(ValueError, match="nothing else"):
            post.letters["lon-1"].seal_refusal(smuggled, to=read.sender, reply_to=read)

    def test_must_answer_what_was_asked(self, post: Post) -> None:
        question, read = self.asked(post)
        other = post.question()
        answer = post.letters["lon-1"].seal_refusal({}, to=read.sender, reply_to=read).sealed
        assert code_of(post, answer, "fra-1") == "letter-not-for-us"
        assert code_of(post, answer, "fra-1", reply_to=other) == "letter-not-for-us"
        post.letters["fra-1"].open(answer, reply_to=question)

    def test_must_come_from_whom_was_asked(self, post: Post) -> None:
        question, read = self.asked(post)
        meddler = post.letters["iad-1"].seal_refusal({}, to=read.sender, reply_to=read)
        assert code_of(post, meddler.sealed, "fra-1", reply_to=question) == "letter-not-for-us"


@pytest.mark.parametrize("way", [("fra-1", "iad-1"), ("iad-1", "lon-1")])
def test_what_was_released_to_one_site_goes_to_no_other(post: Post, way: tuple[str, str]) -> None:
    with pytest.raises(PermitVoid) as refused:
        post.letters["fra-1"].seal(a_release(*way), {}, to=post.sites["lon-1"])
    assert refused.value.code == "release-misaddressed"


class TestIdentity:
    def test_keys_of_the_roster_belong_to_the_secrets(self) -> None:
        keys = new_identity()
        signer, unsealer = Signer(keys.signing_secret), Unsealer(keys.sealing_secret)
        assert (signer.public, unsealer.public) == (keys.signing_key, keys.sealing_key)
        assert unsealer.unseal(seal_to(keys.sealing_key, b"tea", b"info"), b"info") == b"tea"
        assert keys.signing_secret.hex() not in repr(keys)

    def test_signatures_hold_for_their_key_and_message_alone(self) -> None:
        keys, message = new_identity(), b"message"
        signature = Signer(keys.signing_secret).sign(message)
        assert verify_signature(keys.signing_key, message, signature)
        assert not verify_signature(keys.signing_key, b"other", signature)
        assert not verify_signature(new_identity().signing_key, message, signature)
        assert not verify_signature(b"short", message, signature)
        assert not verify_signature(keys.signing_key, message, b"")

    def test_an_unusable_sealing_key_seals_nothing(self, post: Post) -> None:
        broken = replace(post.sites["lon-1"], sealing_key=b"short")
        with pytest.raises(InputError) as refused:
            post.letters["fra-1"].seal(a_release(), {}, to=broken)
        assert refused.value.code == "sealing-key-invalid"
