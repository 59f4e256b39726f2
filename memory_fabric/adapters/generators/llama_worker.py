"""The model's own process: a llama.cpp server on a Unix socket. Run as a script, by ``llama``.

It imports nothing but the bindings, so that a crash of theirs is this process's alone. The order
comes as one JSON line on standard input, key included, for arguments and environment are readable
by others. It ends when standard input does: whoever started it is gone then, however that went.
"""

from __future__ import annotations

import json
import os
import shutil
import sys


def main() -> None:
    """Serve until standard input ends."""
    order = json.loads(sys.stdin.readline())
    os.chdir(order["folder"])
    os.umask(0o077)
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = order["model"]
    params.n_ctx = order["context"]
    params.n_parallel = 1
    params.cpuparams.n_threads = order["threads"]
    params.ui = False
    params.cache_ram_mib = 0
    params.verbosity = 0
    # A relative name, since a socket's address holds about 100 bytes.
    params.hostnames = ["./model.sock"]
    params.api_keys = [order["key"]]
    server = Server(params)
    sys.stdin.read()
    shutil.rmtree(order["folder"], ignore_errors=True)
    del server
    os._exit(0)


if __name__ == "__main__":
    main()
