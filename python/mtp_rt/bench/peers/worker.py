"""The process of one system: loads it once, then answers one request per line until its input ends.

    python -m mtp_rt.bench.peers.worker '{"adapter": "llama.cpp", "path": "model.gguf", ...}'

Between requests it waits in a blocking read, so that the others have the machine to themselves.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from typing import Any

from mtp_rt.bench import measure
from mtp_rt.bench.peers import adapter
from mtp_rt.bench.peers.protocol import Ready, Setup, Work, to_json


def main() -> int:
    """Serve requests from stdin to stdout. Errors end the process with a message on stderr."""
    # Libraries print as they please: the answers get the real stdout, whatever is printed goes to stderr.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # buffered by lines: nothing printed before an error comes out behind it

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    setup = Setup(**json.loads(sys.argv[1]))
    chosen = adapter(setup.adapter)
    version = chosen.version()
    started = time.perf_counter()
    system, settings = chosen.load(setup)
    reply(to_json(Ready(version, settings, time.perf_counter() - started)))

    for line in sys.stdin:
        work = Work(**json.loads(line))
        run = system.run(work.prompt, work.max_tokens)
        reply(to_json(dataclasses.replace(run, peak_bytes=measure.peak_bytes())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
