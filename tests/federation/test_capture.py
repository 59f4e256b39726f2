"""A capture of all that leaves a site's processes while it trains, taken at the system calls.

The site is served under strace with everything that it starts, its training worker included. What
they send over any socket is compared with what the rules permitted.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from memory_fabric import operations
from memory_fabric.core.training import Task
from memory_fabric.wiring import TINY_MODEL, WorkerTrainer, open_home, reach
from tests.federation.conftest import TASK, WHO, needs_torch
from tests.federation.letters import assert_holds_only_an_update
from tests.federation.sites import free_port, made

_STRACE = shutil.which("strace")
_SENDS = "connect,sendto,sendmsg,sendmmsg,sendfile,splice,write,writev,pwrite64,pwritev"
_CALL = re.compile(r"^\d+ +(?P<call>\w+)\((?P<fd>\d+)<(?P<target>[^>]*(?:->[^>]*)?)>, (?P<rest>.*)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")
_MARKS = (b"Question", b"Answer", b"what is", b"par-1-3", b"vir-1-3")


def _traceable() -> bool:
    if _STRACE is None:
        return False
    words = [_STRACE, "-f", "--seccomp-bpf", "-e", "trace=write", "-o", os.devnull, "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextmanager
def captured(home: Path, log: Path) -> Iterator[None]:
    """The home, served under strace."""
    assert _STRACE is not None
    traced = [
        _STRACE, "-f", "--seccomp-bpf", "-yy", "-xx", "-s", str(1 << 26),
        "-e", f"trace={_SENDS}", "-o", str(log),
    ]  # fmt: skip
    served = [
        sys.executable, "-c", "from memory_fabric.cli import main; main()", "--home", str(home),
        "site", "serve", "--listen", f"127.0.0.1:{free_port()}",
    ]  # fmt: skip
    process = subprocess.Popen(
        traced + served, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        while reach(home) is None:
            assert process.poll() is None, "the site did not start"
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def sent(log: Path) -> dict[str, bytes]:
    """What was sent, by what it was sent to: the kernel's name of the descriptor."""
    found: defaultdict[str, bytearray] = defaultdict(bytearray)
    for line in log.read_text().splitlines():
        call = _CALL.match(line)
        if call and call["call"] != "connect":
            target = _HEX.sub(lambda name: _plain(name[0]).decode(errors="replace"), call["target"])
            found[target] += b"".join(map(_plain, _STRING.findall(call["rest"])))
    return {target: bytes(data) for target, data in found.items()}


def _plain(hexes: str) -> bytes:
    return bytes.fromhex(hexes.replace("\\x", ""))


def bodies(stream: bytes) -> list[bytes]:
    """The bodies of the HTTP answers in a stream."""
    found = []
    while stream:
        head, mark, rest = stream.partition(b"\r\n\r\n")
        assert mark
        assert head.startswith(b"HTTP/1.1 200")
        length = re.search(rb"content-length: (\d+)", head.lower())
        assert length is not None
        found.append(rest[: int(length[1])])
        stream = rest[int(length[1]) :]
    return found


@needs_torch
@pytest.mark.skipif(not _traceable(), reason="needs strace, and leave to trace a process")
@pytest.mark.timeout(300)
def test_only_permitted_updates_and_numbers_leave_the_processes_of_a_site(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("c")
    homes = made(folder, {"fra-1": "DE", "par-1": "FR", "vir-1": "US"})
    others = ("par-1", "vir-1")
    logs = {name: folder / f"{name}.strace" for name in others}
    answers: dict[str, bytes] = {}
    with (
        closing(WorkerTrainer(TINY_MODEL)) as trainer,
        open_home(homes["fra-1"], trainer=trainer) as home,
    ):
        model = operations.run(home, "finetune_model", WHO, {})
        blank = Task("x", 1, model["model"], model["model_id"]).to_json()
        task = {**blank, **TASK, "run": "captured"}
        shape = {"adapter": task["adapter"], "seed": 0}
        adapter = operations.run(home, "finetune_initial", WHO, shape)["adapter"]
        asked = {"task": task, "adapter": adapter, "sites": list(others)}
        begun = operations.run(home, "finetune_begin", WHO, asked)
        for name in others:
            with captured(homes[name], logs[name]):
                letter = {"site": name, "letter": begun["letters"][name]}
                told = operations.run(home, "finetune_relay", WHO, letter)
            answers[name] = base64.b64decode(told["letter"])
        opened = {
            name: home.node.letters.open(
                answers[name], reply_to=home.node.awaited["captured", name].letter
            ).body
            for name in others
        }

    for name in others:
        assert "AF_INET" not in logs[name].read_text()
        sockets = {target: data for target, data in sent(logs[name]).items() if _is_socket(target)}
        out = [data for target, data in sockets.items() if "site.sock" in target]
        woken = [data for target, data in sockets.items() if "site.sock" not in target]
        assert set(b"".join(woken)) <= {0, signal.SIGINT}, "only an event loop wakes itself"
        letters = [body for data in out for body in bodies(data) if body[:1] != b"{"]
        assert letters == [answers[name]]
        everything = b"".join(sockets.values())
        assert not any(mark in everything or mark in repr(opened[name]).encode() for mark in _MARKS)
        with open_home(homes[name]) as home:
            receipt = home.node.ledger.receipt(opened[name]["receipt"])
            assert receipt["act"] == "send_update"
            assert operations.run(home, "verify_site", WHO, {})["damaged"] == []
            assert receipt["outcome"] == ("done" if name == "par-1" else "denied")
    # The worker was in the capture: what it told its site went through a pipe.
    assert any(target.startswith("pipe") for target in sent(logs["par-1"]))
    assert_holds_only_an_update(opened["par-1"], "captured")
    assert "update" not in opened["vir-1"]


def _is_socket(target: str) -> bool:
    return target.startswith(("UNIX", "TCP", "UDP", "NETLINK", "socket"))
