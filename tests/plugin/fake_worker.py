"""A worker that plays a part instead of computing: the title of the run says which.

done: progress and a score. fail: a fault with its remedy. slow: works until it is asked to cancel. crash: speaks,
then ends without a word. stillborn: ends before its first sign of life.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path


def main() -> int:
    folder = Path(sys.argv[1])
    part = json.loads((folder / "job.json").read_text(encoding="utf-8"))["title"].split()[0]
    if part == "stillborn":
        sys.stderr.write("ModuleNotFoundError: No module named 'torch'\n")
        return 1
    beat(folder)
    say(folder, "hello", pid=os.getpid(), environment=sorted(os.environ))
    say(folder, "progress", fraction=0.25, what="first quarter")
    if part == "crash":
        (folder / "log.txt").write_text("reading\nout of memory\n", encoding="utf-8")
        os._exit(9)
    if part == "fail":
        fault = {
            "kind": "DataError",
            "problem": "The rain has no dates",
            "expected": "",
            "got": "",
            "remedy": "Give dates",
        }
        say(folder, "failed", **fault)
        return 2
    while part == "slow":
        beat(folder)
        if (folder / "cancel").exists():
            say(folder, "cancelled")
            return 3
        time.sleep(0.05)
    (folder / "results").mkdir(exist_ok=True)
    scores = {"model": {"pooled": {"nse": 0.9}}, "persistence": {"pooled": {"nse": 0.5}}}
    (folder / "results" / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    say(folder, "progress", fraction=1.0, what="ready")
    say(folder, "done")
    return 0


def say(folder: Path, event: str, **values: object) -> None:
    with open(folder / "events.jsonl", "a", encoding="utf-8") as handle:
        handle.write(json.dumps({"time": "2024-01-01T00:00:00", "event": event, **values}) + "\n")


def beat(folder: Path) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "time": time.time()})
    temporary = folder / ".heartbeat.part"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder / "heartbeat.json")


if __name__ == "__main__":
    sys.exit(main())
