"""A run without servers: the aggregating site carries the letters to its neighbours itself."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence

from flwr.app import Message

from memory_fabric_federation.aggregation import Call
from memory_fabric_federation.local_grid import LocalGrid, Node
from memory_fabric_federation.wire import letter_in, with_letter, with_site


def neighbours_grid(call: Call, sites: Sequence[str]) -> LocalGrid:
    """A grid of homes on this machine, one node a site.

    Args:
        call: the aggregating site.
        sites: names in its roster.
    """
    logging.getLogger("flwr").setLevel(logging.WARNING)
    # All at once, since a letter is fresh for minutes only; the trainer takes one task at a time.
    nodes = {number: _node(call, site) for number, site in enumerate(sites, 1)}
    return LocalGrid(nodes, parallel=max(1, len(nodes)))


def _node(call: Call, site: str) -> Node:
    def answer(message: Message) -> Message:
        if message.metadata.message_type == "query":
            return Message(with_site(site), reply_to=message)
        letter = base64.b64encode(letter_in(message)).decode()
        told = call("finetune_relay", site=site, letter=letter)
        return Message(with_letter(base64.b64decode(told["letter"])), reply_to=message)

    return answer
