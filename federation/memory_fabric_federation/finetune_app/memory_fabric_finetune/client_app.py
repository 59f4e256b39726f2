"""What runs at a node: letters go to the site's own process, its answers go back."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from memory_fabric_federation.relay import relay, site_behind
from memory_fabric_federation.wire import letter_in, with_letter, with_site

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Carry a sealed task in and a sealed answer out."""
    return Message(with_letter(relay(_socket(context), letter_in(message))), reply_to=message)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Say whose node this is."""
    return Message(with_site(site_behind(_socket(context))), reply_to=message)


def _socket(context: Context) -> Path:
    """The socket that the node was started with; in a simulation, that of the home whose turn the
    virtual node has.
    """
    if "socket" in context.node_config:
        return Path(str(context.node_config["socket"]))
    homes = json.loads(base64.urlsafe_b64decode(str(context.run_config["homes"])))
    return Path(homes[int(str(context.node_config["partition-id"]))]) / "run" / "site.sock"
