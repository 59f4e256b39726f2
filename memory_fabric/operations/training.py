"""Operations of federated fine-tuning, for the operator of the site that aggregates.

Adapters and sealed letters are base64 here, since operations are JSON. ``federation/`` calls these
round by round; nothing in them trusts it with a decision.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from memory_fabric.core.access import Requester, named
from memory_fabric.core.errors import InputError
from memory_fabric.core.training import Adapter, Task
from memory_fabric.flows import finetune
from memory_fabric.flows.answer import answer
from memory_fabric.flows.node import accountable
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home


def finetune_model(home: Home, requester: Requester) -> Json:
    """The base model of this site, and the sites of the tenant that could train it."""
    node = home.node
    tenant = node.check_tenant(requester)
    sites = [site for site in node.roster if tenant in site.tenants]
    return {
        "model": node.trainer.model,
        "model_id": node.trainer.model_id,
        "site": node.me.site_id,
        "sites": [site.site_id for site in sites],
        "addresses": {site.site_id: site.address for site in sites},
        "regions": {site.site_id: str(site.region) for site in node.roster},
        "joined": sorted(node.settings.aggregators),
    }


def finetune_initial(
    home: Home, requester: Requester, *, adapter: Mapping[str, Any], seed: int
) -> Json:
    """A new adapter."""
    shape = Adapter(adapter["rank"], adapter["alpha"], tuple(adapter["targets"]))
    return {"adapter": _text(home.node.trainer.initial(shape, seed))}


def finetune_begin(
    home: Home,
    requester: Requester,
    *,
    task: Mapping[str, Any],
    adapter: str,
    sites: Sequence[str],
) -> Json:
    """Sealed tasks for those sites that policy lets the adapter go to."""
    node = home.node
    with accountable(node, "send_update", requester):
        begun = finetune.begin_round(
            node, requester, Task.from_json(task), _bytes(adapter),
            [node.roster[name] for name in sites],
        )  # fmt: skip
    return {
        "letters": {site: _text(letter) for site, letter in begun.letters.items()},
        "withheld": [
            {
                "site": held.site.site_id,
                "region": str(held.site.region),
                "rules": named(held.rules),
            }
            for held in begun.withheld
        ],
        "receipt": begun.receipt,
    }


def finetune_take(home: Home, requester: Requester, *, run: str, site: str, letter: str) -> Json:
    """Open and check the answer of a site; its update, or the rules of its refusal."""
    node = home.node
    with accountable(node, finetune.TAKEN, requester):
        taken = finetune.take_update(node, requester, run, site, _bytes(letter))
    return {
        "site": taken.site.site_id,
        "region": str(taken.site.region),
        "facts": taken.facts.to_json() if taken.facts else None,
        "update": _text(taken.arrays),
        "rules": taken.rules,
        "receipts": {"theirs": taken.theirs, "ours": taken.ours},
    }


def finetune_relay(home: Home, requester: Requester, *, site: str, letter: str) -> Json:
    """Carry a sealed task to a site on this machine, and its sealed answer back."""
    node = home.node
    sealed = _bytes(letter)
    if site == node.me.site_id:
        return finetune_answer(home, requester, site=site, letter=letter)
    return {"letter": _text(node.transport.exchange(node.roster[site], sealed))}


def finetune_answer(home: Home, requester: Requester, *, site: str, letter: str) -> Json:
    """This site's own sealed answer to a sealed task."""
    return {"letter": _text(answer(home.node, _bytes(letter)))}


def finetune_join(home: Home, requester: Requester, *, aggregator: str) -> Json:
    """Take training tasks from a site of the roster."""
    home.join(aggregator)
    return {"site": home.node.me.site_id, "joined": sorted(home.node.settings.aggregators)}


def finetune_save(
    home: Home, requester: Requester, *, run: str, state: Mapping[str, Any], adapter: str
) -> Json:
    """Keep a checkpoint of a run, sealed."""
    home.runs.save(run, state, _bytes(adapter))
    return {"run": run}


def finetune_load(home: Home, requester: Requester, *, run: str) -> Json:
    """A run's last checkpoint."""
    state, adapter = home.runs.load(run)
    return {"state": state, "adapter": _text(adapter)}


def finetune_runs(home: Home, requester: Requester) -> Json:
    """The runs that this site aggregates, with their states."""
    return {"runs": [home.runs.load(name)[0] for name in home.runs.names()]}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InputError(
            "request-invalid", "Something is not base64 where it must be.", "Send it as base64."
        ) from None
