"""A Flower grid in one process: nodes are functions from message to reply. No Ray, no servers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import monotonic

from flwr.app import Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

Node = Callable[[Message], Message]
"""A node: a message in, its reply out."""


class LocalGrid(Grid):
    """Runs nodes in threads of this process.

    Args:
        nodes: by their Flower id.
        parallel: how many of them work at a time.
    """

    def __init__(self, nodes: Mapping[int, Node], parallel: int = 1) -> None:
        # Messages take their origin from the process they are made in.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self._nodes = dict(nodes)
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="node")
        self._running: dict[str, Future[Message]] = {}
        self._ids = itertools.count(1)

    def set_run(self, run: object) -> None:
        """There is one run."""

    @property
    def run(self) -> object:
        """There is one run."""
        raise NotImplementedError("a local grid knows nothing of its run")

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """The nodes."""
        return list(self._nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand messages to their nodes; ids to ask for the replies."""
        ids = []
        for message in messages:
            name = f"{next(self._ids)}"
            message.metadata.__dict__["_message_id"] = name
            self._running[name] = self._pool.submit(self._reply, message)
            ids.append(name)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that are there; each is given once."""
        ready = [name for name in message_ids if name in self._running]
        ready = [name for name in ready if self._running[name].done()]
        return [self._running.pop(name).result() for name in ready]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Messages out, and the replies that came in time."""
        started = monotonic()
        ids = list(self.push_messages(messages))
        left = None if timeout is None else max(0.0, timeout - (monotonic() - started))
        wait([self._running[name] for name in ids], timeout=left)
        return self.pull_messages(ids)

    def close(self) -> None:
        """Wait for no node any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _reply(self, message: Message) -> Message:
        try:
            return self._nodes[message.metadata.dst_node_id](message)
        except Exception as error:  # noqa: BLE001 - a node's death is an answer too
            return Message(Error(code=2, reason=type(error).__name__), reply_to=message)
