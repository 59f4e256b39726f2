"""Aggregation by a Flower strategy, of answers that the aggregating site has opened and checked.

Flower's strategies check nothing. Here every answer goes to the site first: it verifies signature,
freshness and that the answer was asked for, checks numbers and shape, and asks policy whether the
update may come in. What it refuses never reaches the strategy.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg, FedMedian, FedTrimmedAvg, Krum
from numpy.typing import NDArray
from safetensors.numpy import load, save

from memory_fabric.core.errors import InputError, MemoryFabricError
from memory_fabric_federation.wire import letter_in

Call = Callable[..., dict[str, Any]]
"""An operation of the aggregating site: its name and parameters in, its JSON out."""

Arrays = dict[str, NDArray[np.float32]]

STRATEGIES: Mapping[str, type[FedAvg]] = {
    "fedavg": FedAvg,
    "fedmedian": FedMedian,
    "fedtrimmedavg": FedTrimmedAvg,
    "krum": Krum,
}
"""Flower strategies by name: those that keep nothing between rounds, so that a checkpoint is whole.
Krum and the medians stand some poisoned updates of legal length; FedAvg stands none."""


@dataclass
class Opened:
    """The answers of one round.

    Attributes:
        accepted: what the site said of each update it took in.
        refused: of each answer that it did not take, with ``rules`` or an error's ``code``.
        messages: accepted answers as a strategy reads them.
    """

    accepted: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


def strategy_named(name: str, quorum: int) -> FedAvg:
    """A strategy.

    Raises:
        InputError: ``strategy-unknown``.
    """
    if name not in STRATEGIES:
        raise InputError(
            "strategy-unknown",
            "There is no such strategy.",
            f"Use one of {', '.join(STRATEGIES)}.",
        )
    return STRATEGIES[name](min_train_nodes=quorum, min_available_nodes=quorum)


def open_answers(
    call: Call, run: str, adapter: bytes, sites: Mapping[int, str], replies: Iterable[Message]
) -> Opened:
    """Have the site open each reply; a node that did not reply, or died, is refused by a code.

    Args:
        call: the aggregating site.
        run: the run that they answer for.
        adapter: that the updates change, as safetensors bytes.
        sites: who was asked, by Flower node.
        replies: what comes back in time; each is opened as it comes.
    """
    opened = Opened()
    before: Arrays = load(adapter)
    silent = dict(sites)
    for reply in replies:
        site = silent.pop(reply.metadata.src_node_id, None)
        if site is None:
            continue
        if reply.has_error() or not (letter := letter_in(reply)):
            opened.refused.append({"site": site, "code": "site-failed"})
            continue
        try:
            sealed = base64.b64encode(letter).decode()
            taken = call("finetune_take", run=run, site=site, letter=sealed)
        except MemoryFabricError as error:
            refused = {"site": site, "code": error.code, "receipt": error.details.get("receipt")}
            opened.refused.append(refused)
            continue
        update = base64.b64decode(taken.pop("update"))
        if taken["facts"] is None:
            opened.refused.append(taken)
            continue
        opened.accepted.append(taken)
        if update:
            reply.content = _content(before, load(update), taken["facts"]["examples"])
            opened.messages.append(reply)
    opened.refused += [{"site": site, "code": "site-silent"} for site in silent.values()]
    return opened


def aggregated(strategy: FedAvg, number: int, messages: Sequence[Message]) -> bytes:
    """The next adapter, as safetensors bytes.

    Raises:
        InputError: ``aggregate-not-finite``.
    """
    # Sums of floats depend on their order, and answers come in any.
    ordered = sorted(messages, key=lambda message: message.metadata.src_node_id)
    record, _ = strategy.aggregate_train(number, ordered)
    arrays = {name: array.numpy().astype(np.float32) for name, array in (record or {}).items()}
    if not arrays or not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError(
            "aggregate-not-finite",
            "What the strategy made of the updates is no adapter.",
            "Choose another strategy, or resume from the last checkpoint.",
        )
    data: bytes = save({name: arrays[name] for name in sorted(arrays)})
    return data


def _content(before: Arrays, change: Arrays, examples: int) -> RecordDict:
    after = {name: Array(before[name] + change[name]) for name in sorted(before)}
    metrics = MetricRecord({"num-examples": examples})
    return RecordDict({"arrays": ArrayRecord(after), "metrics": metrics})
