"""The table of targets, judged from what was measured: one function for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from timing import Spread, number

NAMES = {"sealed": "sealed", "lancedb": "LanceDB", "chroma": "chromadb", "qdrant": "qdrant-edge"}
"""How the sides are called on the page."""


class Missing(Exception):
    """A figure was not measured; says why."""


@dataclass(frozen=True)
class Verdict:
    """One row of the table.

    Attributes:
        ours, peers: the figures, in words.
        ratio: of ours to the peer's, or of what was reached to what is allowed.
        met: ``None`` where it was not measured.
    """

    what: str
    target: str
    ours: str
    peers: str = ""
    ratio: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Measured:
    """Everything that was measured, part by part."""

    parts: Mapping[str, Any] = field(default_factory=dict)

    def get(self, part: str, step: str) -> Any:
        """What a step of a part found.

        Raises:
            Missing: it was not run, or it failed.
        """
        steps = self.parts.get(part, {})
        if step not in steps:
            raise Missing("not measured")
        if "failed" in steps[step]:
            raise Missing(f"failed: {steps[step]['failed']}")
        return steps[step]["result"]


def spread(values: Any) -> Spread:
    if not values:
        raise Missing("not measured")
    return Spread(tuple(values))


def with_unit(values: Spread, unit: str) -> str:
    return f"{values} {unit}"


# --- vector search -----------------------------------------------------------------------------


def searching(
    measured: Measured, part: str, share: float, enough: float, most: float, against: str = ""
) -> Verdict:
    """p50 against the fastest peer that reaches the recall, or against one peer."""
    which = {1.0: "all classes", 0.5: "half of the classes", 0.01: "1% of the classes"}[share]
    what = f"search p50, {part}, {which}, recall@10 at least {enough:g}"
    target = f"at most {most:g}x of {against or 'the fastest peer'}"
    found = dict(measured.get(part, "search")[str(share)])
    if "sealed" not in found:
        raise Missing("not measured")
    ours = found.pop("sealed")
    good = {
        name: each for name, each in found.items()
        if each["recall"] >= enough and (not against or NAMES[name] == against)
    }  # fmt: skip
    shown = f"{with_unit(spread(ours['ms']), 'ms')}, recall {ours['recall']:.3f}"
    peers = "; ".join(
        f"{NAMES[name]} {spread(each['ms'])} ms, recall {each['recall']:.3f}"
        for name, each in found.items()
    )
    if not good:
        return Verdict(what, target, shown, peers, "no peer reaches the recall", None)
    fastest = min(good.values(), key=lambda each: spread(each["ms"]).median)
    ratio = spread(ours["ms"]).over(spread(fastest["ms"]))
    met = ratio.median <= most and ours["recall"] >= enough
    return Verdict(what, target, shown, peers, str(ratio), met)


def threads(measured: Measured, part: str) -> Verdict:
    found = dict(measured.get(part, "throughput"))
    ours = spread(found.pop("sealed", ()))
    peers = {name: spread(rates) for name, rates in found.items()}
    if not peers:
        raise Missing("no peer was measured")
    ratio = ours.over(max(peers.values(), key=lambda rates: rates.median))
    shown = "; ".join(f"{NAMES[name]} {rates}" for name, rates in peers.items())
    return Verdict(
        f"8 threads searching, {part}", "at least 2x the fastest peer's searches a second",
        with_unit(ours, "/s"), shown, str(ratio), ratio.median >= 2,
    )  # fmt: skip


def words(measured: Measured, part: str, kind: str) -> Verdict:
    found = measured.get(part, "text")[kind]
    ours, peer = spread(found.get("sealed")), spread(found.get("lancedb"))
    ratio = ours.over(peer)
    title = {"text": "full text", "hybrid": "hybrid"}[kind]
    return Verdict(
        f"{title} p50, {part}", "at most 0.5x of LanceDB", with_unit(ours, "ms"),
        f"LanceDB {peer} ms", str(ratio), ratio.median <= 0.5,
    )  # fmt: skip


def after_adds(measured: Measured, part: str, kind: str) -> Verdict:
    found = measured.get(part, "adds")
    before, after = (
        {side: spread([turn["ms"] for turn in turns]) for side, turns in found[name].items()}
        for name in (f"{kind} before", f"{kind} after")
    )
    grown = {side: after[side].median / before[side].median for side in after}
    return Verdict(
        f"{kind} search after 300 single adds, {part}", "at most 1.2x of before",
        f"{before['sealed']} ms, then {after['sealed']} ms",
        f"LanceDB {before['lancedb']} ms, then {after['lancedb']} ms ({grown['lancedb']:.2g}x)",
        f"{grown['sealed']:.2f}", grown["sealed"] <= 1.2,
    )  # fmt: skip


# --- whole recalls, writing ----------------------------------------------------------------------


def whole(measured: Measured, part: str) -> Verdict:
    found = measured.get(part, "recall")
    ours, search, fsync = (spread(found[name]) for name in ("recall", "search", "fsync"))
    allowed = Spread(tuple(a + 2 * b + 3 for a, b in zip(search.values, fsync.values, strict=True)))
    parts = ", ".join(f"{name} {number(ms)}" for name, ms in found["parts"].items())
    ratio = ours.over(allowed)
    return Verdict(
        f"whole recall p50, {part}", "at most the search + 2 fsyncs + 3 ms",
        f"{ours} ms ({parts})",
        f"allowed {allowed} ms: search {search}, fsync {fsync}",
        str(ratio), ratio.median <= 1,
    )  # fmt: skip


def ingesting(measured: Measured, part: str) -> Verdict:
    rates = measured.get(part, "fill")["rates"]
    ours, peer = spread(rates.get("sealed")), spread(rates.get("lancedb"))
    ratio = ours.over(peer)
    return Verdict(
        f"bulk ingest of embedded rows, {part}, one fsync a batch on both sides",
        "at least 0.6x of LanceDB", with_unit(ours, "rows/s"), f"LanceDB {peer} rows/s",
        str(ratio), ratio.median >= 0.6,
    )  # fmt: skip


def writing(measured: Measured, part: str) -> Verdict:
    found = measured.get(part, "adds")
    ours, peer = spread(found["write"]["sealed"]), spread(found["write"]["lancedb"])
    fsync = spread(found["fsync"])
    allowed = peer.median + 6 * fsync.median
    return Verdict(
        f"one durable write at a time, p50, {part}", "at most LanceDB's append + 6 fsyncs",
        f"{number(ours.median)} ms",
        f"allowed {number(allowed)} ms: LanceDB {number(peer.median)}, fsync "
        f"{number(fsync.median)}",
        f"{ours.median / allowed:.2f}", ours.median <= allowed,
    )  # fmt: skip


def many_writers(measured: Measured, part: str) -> Verdict:
    ours = spread(measured.get(part, "writers")["sealed"])
    return Verdict(
        f"32 concurrent durable writers of embedded rows, {part}", "at least 1,000 writes a second",
        with_unit(ours, "/s"), "", f"{ours.median / 1000:.2f}", ours.median >= 1000,
    )  # fmt: skip


# --- opening, memory, erasing, keys --------------------------------------------------------------


def first_answer(measured: Measured, part: str, most: float) -> Verdict:
    found = measured.get(part, "open")
    ours = spread([turn["first_answer"] for turn in found["sealed"]])
    peer = spread([turn["first_answer"] for turn in found["lancedb"]])
    return Verdict(
        f"open to first answer, {part}", f"at most {most:g} s",
        f"{ours} s, from {' and '.join(sorted({turn['by'] for turn in found['sealed']}))}",
        f"LanceDB {peer} s; starting the interpreter adds {spread(found['started'])} s",
        f"{ours.median / most:.2f}", ours.median <= most,
    )  # fmt: skip


def full_speed(measured: Measured, part: str, most: float) -> Verdict:
    found = measured.get(part, "open")
    first = spread([turn["first_answer"] for turn in found["sealed"]]).median
    ours = Spread(tuple(first + turn["full_speed"] for turn in found["full_speed"]))
    return Verdict(
        f"open to full speed, {part}", f"at most {most:g} s", with_unit(ours, "s"), "",
        f"{ours.median / most:.2f}", ours.median <= most,
    )  # fmt: skip


def resident(measured: Measured, part: str, which: str, most: float) -> Verdict:
    found = measured.get(part, "open")
    content, memory = found["content_bytes"], found["memory"]
    ours = memory["used"][which] / content
    title = {"now": "steady", "most": "peak"}[which]
    return Verdict(
        f"resident memory, {title}, {part}", f"at most {most:g}x of vectors + text",
        f"{memory['used'][which] / 1e6:,.0f} MB, {memory['bare'][which] / 1e6:,.0f} MB of it "
        "before the home is opened",
        f"vectors + text {content / 1e6:,.0f} MB", f"{ours:.2f}", ours <= most,
    )  # fmt: skip


def erased(measured: Measured, part: str, what: str) -> Verdict:
    turns = measured.get(part, "erase")["sealed"]
    memories = turns[0]["memories"]
    if what == "closed":
        ours, most = spread([turn["closed"] for turn in turns]), 2.0
        title, target = "unsearchable and unopenable", "at most 2 s"
    else:
        if any(turn["gone"] is None for turn in turns):
            return Verdict(f"erase a subject with {memories} memories, {part}: bytes gone",
                           "at most 10 min", "still there after 10 min", "", "", False)  # fmt: skip
        ours, most = spread([turn["gone"] for turn in turns]), 600.0
        title, target = "bytes gone", "at most 10 min"
    return Verdict(
        f"erase a subject with {memories} memories, {part}: {title}", target,
        with_unit(ours, "s"), "", f"{ours.median / most:.2g}", ours.median <= most,
    )  # fmt: skip


def renewed(measured: Measured) -> Verdict:
    found = measured.get("epoch", "epoch")
    ours = spread([turn["seconds"] for turn in found["sealed"]])
    return Verdict(
        f"renew the epoch over {found['subjects']:,} subjects, by the {found['sealed'][0]['way']}",
        "at most 15 s", with_unit(ours, "s"), "", f"{ours.median / 15:.2g}", ours.median <= 15,
    )  # fmt: skip


Row = tuple[str, Callable[[Measured], Verdict]]


def rows(small: str, large: str, largest: str, real: str) -> Iterator[Row]:
    """What a row is called where nothing was measured, and how to judge it.

    Args:
        small, large, largest, real: the parts that stand for 20,000, 100,000 and a million rows,
            and for a million rows of real texts.
    """
    for part in dict.fromkeys((small, large)):
        for share, enough, most in ((1.0, 0.99, 0.5), (0.5, 0.98, 1.0), (0.01, 0.98, 1.0)):
            yield (
                f"search p50, {part}, {share:.0%} of the classes",
                partial(searching, part=part, share=share, enough=enough, most=most),
            )
    yield f"8 threads searching, {large}", partial(threads, part=large)
    for part in (largest, real):
        scale = partial(searching, share=1.0, enough=0.97, most=0.3, against="LanceDB")
        yield f"search p50, {part}", partial(scale, part=part)
    for kind in ("text", "hybrid"):
        yield f"{kind} search, {large}", partial(words, part=large, kind=kind)
    for kind in ("vector", "hybrid"):
        yield f"{kind} search after adds, {large}", partial(after_adds, part=large, kind=kind)
    yield f"whole recall p50, {large}", partial(whole, part=large)
    yield f"bulk ingest, {large}", partial(ingesting, part=large)
    yield f"one durable write at a time, {large}", partial(writing, part=large)
    yield f"32 concurrent durable writers, {large}", partial(many_writers, part=large)
    yield f"open to first answer, {large}", partial(first_answer, part=large, most=3.0)
    yield f"open to first answer, {largest}", partial(first_answer, part=largest, most=8.0)
    yield f"open to full speed, {largest}", partial(full_speed, part=largest, most=30.0)
    for which, most in (("now", 1.4), ("most", 2.4)):
        yield f"resident memory, {largest}", partial(resident, part=largest, which=which, most=most)
    for what in ("closed", "gone"):
        yield f"erase a subject, {large}: {what}", partial(erased, part=large, what=what)
    yield "renew the epoch", renewed


USUAL = {"small": "20k", "large": "100k", "largest": "1m", "real": "1m-real"}
QUICK = {"small": "20k", "large": "20k", "largest": "20k", "real": "20k-real"}


def judged(measured: Measured, parts: Mapping[str, str]) -> list[Verdict]:
    """Every row of the table."""
    found = []
    for title, judge in rows(**parts):
        try:
            found.append(judge(measured))
        except Missing as error:
            found.append(Verdict(title, "", str(error)))
        except LookupError as error:
            found.append(Verdict(title, "", f"not measured: no {error}"))
    return found
