"""The same app as processes: SuperLink and SuperNodes with TLS and registered keys.

One run meets everything at once: a site that policy refuses, one that is killed, one whose updates
are altered on their way, and an app bundle that brings a gate of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

pytest.importorskip("flwr", reason="needs memory-fabric[federation]")

from memory_fabric_federation.processes import Flower
from memory_fabric_federation.rounds import Plan

from memory_fabric.wiring import reach
from tests.federation.conftest import TASK, WHO, needs_torch
from tests.federation.sites import free_port, made

SITES = {"fra-1": "DE", "par-1": "FR", "ams-1": "NL", "bru-1": "BE", "vir-1": "US"}


@contextmanager
def served(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "from memory_fabric.cli import main; main()", "--home",
               str(home), "site", "serve", "--listen", f"127.0.0.1:{free_port()}"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while reach(home) is None:
            assert process.poll() is None, "the site did not start"
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def tampering(home: Path) -> Iterator[Path]:
    """A socket before a site's own that flips a bit in each letter that leaves."""
    folder = home / "between" / "run"
    folder.mkdir(parents=True)
    path = folder / "site.sock"
    transport = httpx.HTTPTransport(uds=str(home / "run" / "site.sock"))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        from http.server import BaseHTTPRequestHandler

        class Between(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with httpx.Client(transport=transport, timeout=300) as client:
                    answer = client.post(f"http://site{self.path}", content=body)
                content = answer.content
                if self.path == "/letters":
                    content = content[:-1] + bytes([content[-1] ^ 1])
                self.send_response(answer.status_code)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *words: object) -> None:
                pass

            def address_string(self) -> str:
                return "local"

        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            Between(connection, ("local", 0), None)  # type: ignore[arg-type]
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield home / "between"
    listener.close()


def hostile(folder: Path) -> Path:
    """The app with a `memory_fabric` of its own, which leaves a note wherever it is loaded."""
    app = folder / "app"
    shutil.copytree(str(files("memory_fabric_federation") / "finetune_app"), app)
    shadow = app / "memory_fabric"
    shadow.mkdir()
    note = f"open({str(folder / 'shadowed')!r}, 'a').write(__file__ + chr(10))"
    (shadow / "__init__.py").write_text(
        "from pkgutil import extend_path\n"
        "__path__ = extend_path(__path__, __name__)\n"
        f'__version__ = "shadow"\n{note}\n'
    )
    client = app / "memory_fabric_finetune" / "client_app.py"
    client.write_text(client.read_text() + "import memory_fabric\n")
    return app


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_over_processes_ends_right_whatever_meets_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("f")
    homes = made(folder, SITES)
    app = hostile(folder)
    with ExitStack() as stack:
        processes = {name: stack.enter_context(served(path)) for name, path in homes.items()}
        host, port = "127.0.0.1", free_port()
        aggregator = Flower(homes["fra-1"])
        stack.callback(aggregator.stop)
        aggregator.start_superlink(host, port)
        between = stack.enter_context(tampering(homes["bru-1"]))
        for name, home in homes.items():
            node = Flower(between if name == "bru-1" else home)
            stack.callback(node.stop)
            aggregator.register(node.node_key())
            node.start_supernode(f"{host}:{port}", aggregator.certificate, free_port())
        stranger = Flower(folder / "stranger")
        (folder / "stranger").mkdir()
        stack.callback(stranger.stop)
        stranger.start_supernode(f"{host}:{port}", aggregator.certificate, free_port())

        def kill() -> None:
            """End the site once its task is there, as a power cut would."""
            path = homes["fra-1"]
            while "deployed" not in str(_runs(path)):
                time.sleep(0.1)
            os.kill(processes["ams-1"].pid, signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        plan = Plan("deployed", 2, tuple(SITES), timeout=240.0, task=TASK).to_json()
        code = aggregator.run(plan, app=app)
        logs = (aggregator.folder / "flower-superlink.log").read_text()
        socket_of = reach(homes["fra-1"])
        assert socket_of is not None
        state = socket_of.call("finetune_load", WHO, {"run": "deployed"})["state"]

        assert (state["status"], code) == ("done", 0), logs[-3000:]
        first, second, _ = state["history"]
        told = {item["site"]: item for item in [*first["refused"], *first["withheld"]]}
        assert [item["site"] for item in first["accepted"]] == ["fra-1", "par-1"]
        assert told["ams-1"]["code"] in ("site-failed", "site-absent", "site-silent")
        assert told["bru-1"]["code"] == "letter-forged"
        assert "update-bare-stays" in {rule["id"] for rule in told["vir-1"]["rules"]}
        assert [item["site"] for item in second["withheld"]] == ["vir-1"]
        # A node whose key nobody registered is not let in.
        assert "No SuperNode found with the given public key" in logs
        # The bundle's own package was loaded at the nodes, and decided nothing.
        assert (folder / "shadowed").read_text()


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_app_runs_in_flowers_simulation(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pytest.importorskip("ray", reason="needs memory-fabric[simulation]")
    sites = {name: SITES[name] for name in ("fra-1", "par-1", "vir-1")}
    homes = made(tmp_path_factory.mktemp("s"), sites)
    with ExitStack() as stack:
        for path in homes.values():
            stack.enter_context(served(path))
        plan = Plan("simulated", 1, tuple(sites), timeout=240.0, task=TASK).to_json()
        flower = Flower(homes["fra-1"])

        code = flower.simulate(plan, [str(path) for path in homes.values()])

        logs = (flower.folder / "flower-superlink.log").read_text()
        socket_of = reach(homes["fra-1"])
        assert socket_of is not None, logs[-3000:]
        state = socket_of.call("finetune_load", WHO, {"run": "simulated"})["state"]
        assert (state["status"], code) == ("done", 0), logs[-3000:]
        first, _ = state["history"]
        assert [item["site"] for item in first["accepted"]] == ["fra-1", "par-1"]
        refused = [*first["refused"], *first["withheld"]]
        assert [item["site"] for item in refused] == ["vir-1"]
        assert "update-bare-stays" in {rule["id"] for rule in refused[0]["rules"]}


def _runs(home: Path) -> object:
    socket_of = reach(home)
    return socket_of.call("finetune_runs", WHO, {}) if socket_of else ()
