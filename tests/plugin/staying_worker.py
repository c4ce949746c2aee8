"""A worker that stays and plays a part: for each line it runs fake_worker.py's part of that run in its own process.

The title of the run says which; "die" ends the whole process in the middle of the run, "words" before its first sign of
life. What was loaded is said in the events of the next run.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fake_worker  # noqa: E402


def main() -> int:
    loaded = []
    for line in sys.stdin:
        task = json.loads(line)
        if "load" in task:
            loaded.append(task["load"])
            continue
        folder = Path(task["run"])
        part = json.loads((folder / "job.json").read_text(encoding="utf-8"))["title"].split()[0]
        if part == "words":
            sys.stderr.write("the memory is broken\n")
            return 7
        if part == "asleep":
            return 0
        fake_worker.beat(folder)
        fake_worker.say(folder, "hello", pid=os.getpid(), loaded=loaded)
        if part == "die":
            os._exit(9)
        while part == "slow" and not (folder / "cancel").exists():
            fake_worker.beat(folder)
            time.sleep(0.02)
        fake_worker.say(folder, "cancelled" if part == "slow" else "done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
