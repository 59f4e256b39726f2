"""Flower as processes: a SuperLink beside the aggregating site, a SuperNode beside each site.

TLS and registered keys always; no telemetry, no update check, no installer on either side.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

from memory_fabric.core.errors import InputError, Unavailable
from memory_fabric_federation.certificates import make_certificates, make_node_key

FOLDER = "federation"
"""Where a home keeps the transport's keys and Flower's own files."""
_NAME = "memory-fabric"
_STARTING = 60.0


class Flower:
    """Flower's programs, run for one home.

    Args:
        home: the site's home.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.folder = self.home / FOLDER
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def certificate(self) -> Path:
        """The CA's certificate, which each node needs."""
        return self.folder / "ca.crt"

    def node_key(self) -> Path:
        """The public half of this site's SuperNode key, made when first asked for."""
        return make_node_key(self.folder)

    def start_superlink(self, host: str, port: int, *, simulated: bool = False) -> None:
        """Start a SuperLink and wait until it answers.

        Args:
            host, port: where it listens.
            simulated: whether it runs virtual nodes itself (Ray) instead of letting nodes connect.

        Raises:
            Unavailable: ``superlink-failed``.
        """
        make_certificates(self.folder, host)
        settings = self.folder / "flwr"
        settings.mkdir(mode=0o700, exist_ok=True)
        (settings / "config.toml").write_text(
            f'[superlink]\ndefault = "{_NAME}"\n\n[superlink.{_NAME}]\n'
            f'address = "{host}:{port}"\nroot-certificates = "{self.certificate}"\n',
            "utf-8",
        )
        process = self._start(
            "flower-superlink",
            "--ssl-ca-certfile", str(self.certificate),
            "--ssl-certfile", str(self.folder / "server.crt"),
            "--ssl-keyfile", str(self.folder / "server.key"),
            "--simulation" if simulated else "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
            "--host", host, "--port", str(port),
            "--database", str(self.folder / "superlink.db"),
        )  # fmt: skip
        trusted = ssl.create_default_context(cafile=self.certificate)
        end = monotonic() + _STARTING
        while monotonic() < end and process.poll() is None:
            try:
                address = f"https://{host}:{port}/health"
                if httpx.get(address, verify=trusted).is_success:
                    return
            except httpx.TransportError:
                pass
            sleep(0.3)
        raise _failed("SuperLink", self.folder)

    def register(self, public_key: Path) -> None:
        """Let the node with this key connect to the SuperLink.

        Raises:
            InputError: ``node-key-refused``.
        """
        done = self._flwr("supernode", "register", str(public_key), _NAME)
        if done.returncode and "already" not in (done.stdout + done.stderr).lower():
            raise InputError(
                "node-key-refused",
                "The SuperLink does not take that key.",
                "Name the node.pub that `memory-fabric federation join` made.",
            )

    def start_supernode(self, superlink: str, certificate: Path, port: int) -> None:
        """Start a SuperNode that relays to this home's socket.

        Args:
            superlink: HOST:PORT.
            certificate: the CA's.
            port: of the node's own local API.
        """
        self.node_key()
        door = self.home / "run" / "site.sock"
        process = self._start(
            "flower-supernode",
            "--root-certificates", str(certificate),
            "--superlink", superlink,
            "--port", str(port),
            "--auth-supernode-private-key", str(self.folder / "node"),
            "--node-config", f'socket="{door}"',
        )  # fmt: skip
        sleep(1.0)
        if process.poll() is not None:
            raise _failed("SuperNode", self.folder)

    def run(
        self,
        plan: dict[str, Any] | None,
        resume: str = "",
        app: Path | None = None,
        simulated: Sequence[str] = (),
    ) -> int:
        """Submit the app to the SuperLink and wait for its end; Flower's exit code.

        Args:
            plan: of a new run; ``None`` to go on with ``resume``.
            app: another app folder than the one that comes along.
            simulated: homes on this machine, being served, one for each virtual node of a
                simulation; empty where nodes connect.
        """
        told = _packed(plan) if plan else ""
        homes = _packed(list(simulated)) if simulated else ""
        config = f'home="{self.home}" plan="{told}" homes="{homes}" resume="{resume}"'
        folder = app or Path(str(files("memory_fabric_federation") / "finetune_app"))
        words = ["run", str(folder), _NAME, "--stream", "--run-config", config]
        if simulated:
            words += ["--federation-config", f"num-supernodes={len(simulated)}"]
        return self._flwr(*words).returncode

    def simulate(self, plan: dict[str, Any] | None, homes: Sequence[str], resume: str = "") -> int:
        """The same app in Flower's simulation, with a SuperLink of its own; Flower's exit code.

        Args:
            plan: of a new run; ``None`` to go on with ``resume``.
            homes: of the sites, on this machine and being served.
            resume: the run to go on with.

        Raises:
            Unavailable: ``superlink-failed``, ``federation-not-installed`` (Ray is not).
        """
        if find_spec("ray") is None:
            raise Unavailable(
                "federation-not-installed",
                "Ray, which Flower's simulation runs on, is not installed.",
                "Install memory-fabric[simulation].",
            )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        try:
            self.start_superlink("127.0.0.1", port, simulated=True)
            return self.run(plan, resume, simulated=homes)
        finally:
            self.stop()

    def wait(self) -> None:
        """Wait until one of the processes ends."""
        while all(process.poll() is None for process in self._running):
            sleep(0.5)

    def stop(self) -> None:
        """End the processes, with whatever they started."""
        for process in self._running:
            _signal(process, signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
                process.wait()
        self._running.clear()

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with (self.folder / f"{program}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - programs and words are this module's
                [_program(program), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                cwd=self.folder,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def _flwr(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - programs and words are this module's
            [_program("flwr"), *words],
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd=self.folder,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "FLWR_HOME": str(self.folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }


def _packed(value: object) -> str:
    """A value as one word of a run's configuration, whatever stands in it."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Unavailable(
            "federation-not-installed",
            f"{name} is not installed.",
            "Install memory-fabric[federation].",
        )
    return found


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the process and its children: SuperLink and SuperNode start one for each task."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _failed(what: str, folder: Path) -> Unavailable:
    return Unavailable(
        "superlink-failed",
        f"The {what} did not start.",
        f"Its log is in {folder}; look whether the port is taken.",
    )
