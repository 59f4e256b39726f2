"""Federated training in words: what a site is asked to do, within which bounds, and what came out.

A task is checked by the site that gets it, whoever sent it: everything that it may ask for has a
bound here. Numbers that a receipt repeats are text, since a receipt holds no floats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import DataClass

MAX_ROUNDS = 1000
"""Rounds of one run at most."""
MAX_STEPS = 2000
"""Optimizer steps of one round at most."""
MAX_BATCH = 64
"""Blocks of one step at most."""
MAX_TOKENS = 1024
"""Tokens of a block at most."""
MAX_RANK = 64
"""Rank of an adapter at most."""
MAX_NORM = 100.0
"""Length of an update at most, whatever a task asks for."""
MAX_HELDOUT = 1000
"""Memories that a loss is measured on, at most."""
MAX_MEMORIES = 20_000
"""Memories that one task reads at most."""
MAX_SECONDS = 3600
"""A task's own time at most."""
TARGETS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
"""Layers of the LLaMA architecture that an adapter may sit on."""
ANSWER = "\nAnswer:"
"""Where a memory holds a question and its answer: losses are measured on what follows."""

_RUN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Adapter:
    """The shape of a LoRA adapter (Hu et al. 2021, arXiv 2106.09685).

    Attributes:
        rank: of the two factors.
        alpha: their product is scaled by ``alpha / rank``.
        targets: names of the linear layers it sits on.
    """

    rank: int = 8
    alpha: int = 16
    targets: tuple[str, ...] = ("q_proj", "v_proj")


@dataclass(frozen=True)
class Task:
    """What a site is asked to do in one round.

    Attributes:
        run, round: which run, and the how manieth round of it; round 0 trains nothing.
        model: name of the base model; model_id: its hash, so that all train the same one.
        adapter: the shape trained.
        purpose: what the memories are used for; policy decides by it.
        data_classes: memories of these classes only; what policy forbids of them stays out.
        steps: optimizer steps; 0 measures the loss and trains nothing.
        batch, tokens: blocks of a step, tokens of a block.
        learning_rate: of AdamW, decimal text.
        clip: Euclidean length that an update is cut to, decimal text.
        heldout: memories that the loss is measured on, at most; 0 measures nothing.
        seed: of the order of blocks; each site and round derives its own.
        seconds: after so long the site gives up.
    """

    run: str
    round: int
    model: str
    model_id: str
    adapter: Adapter = Adapter()
    purpose: str = "training"
    data_classes: tuple[str, ...] = ("public", "internal", "confidential")
    steps: int = 25
    batch: int = 4
    tokens: int = 128
    learning_rate: str = "0.001"
    clip: str = "10.0"
    heldout: int = 200
    seed: int = 0
    seconds: int = 600

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        shape = {**asdict(self.adapter), "targets": list(self.adapter.targets)}
        return {**asdict(self), "adapter": shape, "data_classes": list(self.data_classes)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Task:
        """The inverse of ``to_json``, checked.

        Raises:
            InputError: ``task-invalid``, names the field.
        """
        try:
            shape = value["adapter"]
            adapter = Adapter(shape["rank"], shape["alpha"], tuple(shape["targets"]))
            task = cls(
                **{
                    **value,
                    "adapter": adapter,
                    "data_classes": tuple(value["data_classes"]),
                }
            )
            task.check()
        except (KeyError, TypeError):
            raise _invalid("its fields are not those of a task") from None
        return task

    def check(self) -> None:
        """Raise ``task-invalid`` where anything is out of bounds."""
        for name, low, high in (
            ("round", 0, MAX_ROUNDS), ("steps", 0, MAX_STEPS), ("batch", 1, MAX_BATCH),
            ("tokens", 8, MAX_TOKENS), ("heldout", 0, MAX_HELDOUT), ("seed", 0, 2**31 - 1),
            ("seconds", 1, MAX_SECONDS),
        ):  # fmt: skip
            _within(name, getattr(self, name), low, high)
        _within("adapter.rank", self.adapter.rank, 1, MAX_RANK)
        _within("adapter.alpha", self.adapter.alpha, 1, 4 * MAX_RANK)
        targets = self.adapter.targets
        if not targets or not set(targets) <= TARGETS or len(set(targets)) != len(targets):
            raise _invalid("`adapter.targets` names layers that no adapter may sit on")
        if not _RUN.fullmatch(str(self.run)):
            raise _invalid("`run` is not a name of small letters, digits and dashes")
        words: tuple[Any, ...] = (self.run, self.model, self.model_id, self.purpose)
        if not all(isinstance(word, str) for word in words):
            raise _invalid("`run`, `model`, `model_id` and `purpose` are words")
        if not self.data_classes or not set(self.data_classes) <= set(DataClass):
            raise _invalid("`data_classes` names a class that does not exist")
        if not 0 < self.rate <= 0.1:
            raise _invalid("`learning_rate` is not within 0 and 0.1")
        if not 0 < self.norm <= MAX_NORM:
            raise _invalid(f"`clip` is not within 0 and {MAX_NORM:g}")

    @property
    def rate(self) -> float:
        """``learning_rate`` as a number."""
        return _number("learning_rate", self.learning_rate)

    @property
    def norm(self) -> float:
        """``clip`` as a number."""
        return _number("clip", self.clip)


@dataclass(frozen=True)
class Lesson:
    """What a trainer made of a task.

    Attributes:
        arrays: the adapter afterwards, as safetensors bytes; empty where nothing was trained.
        blocks: blocks of tokens that there were to train on.
        losses: training loss of each step, in nats a token.
        heldout: memories that the loss was measured on.
        loss: mean over them of the loss per token of the adapter that came in; ``None`` where
            there are none.
    """

    arrays: bytes = field(repr=False)
    blocks: int
    losses: tuple[float, ...]
    heldout: int
    loss: float | None


@dataclass(frozen=True)
class UpdateFacts:
    """What is told about an update beside its numbers: counts and losses, never text.

    Attributes:
        run, round: which task it answers.
        examples: memories it was trained on.
        cohort: distinct subjects behind it.
        norm: Euclidean length before it was clipped.
        losses: training loss of each step.
        heldout, loss: memories measured on, and the loss on them of the adapter that came in.
        digest: SHA-256 of the update's bytes.
    """

    run: str
    round: int
    examples: int
    cohort: int
    norm: float
    losses: tuple[float, ...]
    heldout: int
    loss: float | None
    digest: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; numbers in nats are rounded to 4 places."""
        return {
            **asdict(self),
            "norm": round(self.norm, 4),
            "losses": [round(loss, 4) for loss in self.losses],
            "loss": None if self.loss is None else round(self.loss, 4),
        }

    def recorded(self) -> dict[str, Any]:
        """The same for a receipt: numbers as text, without the curve."""
        return {
            "run": self.run,
            "round": self.round,
            "examples": self.examples,
            "cohort": self.cohort,
            "norm": f"{self.norm:.4f}",
            "heldout": self.heldout,
            "loss": None if self.loss is None else f"{self.loss:.4f}",
            "update": self.digest,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> UpdateFacts:
        """The inverse of ``to_json``.

        Raises:
            InputError: ``update-malformed``.
        """
        try:
            loss = value["loss"]
            facts = cls(
                run=str(value["run"]),
                round=int(value["round"]),
                examples=int(value["examples"]),
                cohort=int(value["cohort"]),
                norm=float(value["norm"]),
                losses=tuple(float(item) for item in value["losses"]),
                heldout=int(value["heldout"]),
                loss=None if loss is None else float(loss),
                digest=str(value["digest"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise update_refused("update-malformed", "does not say what it must") from None
        numbers = [facts.norm, *facts.losses, *([] if facts.loss is None else [facts.loss])]
        counts = (facts.examples, facts.cohort, facts.heldout)
        if not all(math.isfinite(number) for number in numbers) or not all(
            0 <= count <= MAX_MEMORIES for count in counts
        ):
            raise update_refused("update-malformed", "says impossible numbers about itself")
        return facts


def update_refused(code: str, why: str) -> InputError:
    """An update that is not taken: it ``why``."""
    return InputError(
        code,
        f"A model update {why}; it was not used.",
        "Look at the site that sent it; the round goes on without it.",
    )


def _within(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _invalid(f"`{name}` is not a whole number from {low} to {high}")


def _number(name: str, text: Any) -> float:
    try:
        number = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _invalid(f"`{name}` is not a number written as text")
    return number


def _invalid(why: str) -> InputError:
    return InputError(
        "task-invalid",
        f"A training task cannot be taken: {why}.",
        "Start the run with other values.",
    )
