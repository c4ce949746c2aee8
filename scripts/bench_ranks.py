"""Two processes of one thread that train together, against one process of two threads; called by ``bench.py``.

Both are alive at the same time and take turns: a round is some batches of each, asked for by a file in the folder that
they share. The batch of both is the same; the data are read and the losses gathered as in any training.

``bench_ranks.py FOLDER``: such a process, alone or under ``torchrun``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench_networks import ROOT, THESIS, Case
from bench_rounds import interleaved, ratio, summary
from bench_world import training_of

OUT = ROOT / "build" / "bench" / "ranks"
BATCHES = 4  # a round
_LONG = 600.0  # seconds without an answer after which a process counts as dead
_PATIENCE = 60.0  # seconds that a process may take to end
TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
END = "end"


def ranks(rounds: int, case: Case = THESIS, days: int = 365) -> dict[str, Any]:
    """Seconds of some batches, and the ratio of both."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as shared:
        one, two = (_Runner(Path(shared) / name, name == "two", case, days) for name in ("one", "two"))
        try:
            seconds = interleaved({"one process": one.turn, "two processes": two.turn}, rounds, told="ranks")
        finally:
            one.close()
            two.close()
    found = {name: summary(values) for name, values in seconds.items()}
    rows = {"ranks": ratio(seconds["one process"], seconds["two processes"])}
    return {"case": case.title, "batches a round": BATCHES, **found, "rows": rows}


class _Runner:
    """One training that waits for its turns."""

    def __init__(self, folder: Path, together: bool, case: Case, days: int) -> None:
        folder.mkdir(parents=True)
        self._folder, self._turns = folder, 0
        values = {"case": asdict(case), "days": days, "threads": 1 if together else 2}
        (folder / "job.json").write_text(json.dumps(values), encoding="utf-8")
        command = [sys.executable, *(TOGETHER if together else ()), str(Path(__file__)), str(folder)]
        own = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "MASTER_PORT")}
        self._log = (folder / "log.txt").open("w")
        environment = {**own, "OMP_NUM_THREADS": str(values["threads"])}
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=subprocess.STDOUT)

    def turn(self) -> float:
        """Seconds of the next batches."""
        self._turns += 1
        (self._folder / f"go-{self._turns}").touch()
        answer = self._folder / f"took-{self._turns}"
        begin = time.monotonic()
        while not answer.exists():
            if self._process.poll() is not None or time.monotonic() - begin > _LONG:
                words = (self._folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-2000:]
                raise RuntimeError(f"the training ended before its turn: {words}")
            time.sleep(0.005)
        return float(answer.read_text(encoding="ascii"))

    def close(self) -> None:
        """Let it end."""
        (self._folder / END).touch()
        try:
            self._process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()
        self._log.close()


def train(folder: Path) -> None:
    """Train a round of batches whenever the next one is asked for."""
    from freshet.core.contracts.events import EventKind
    from freshet.core.training.fitting import fit_module
    from freshet.core.training.model_file import build_from_card

    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    case = Case.from_json(json.dumps(job["case"]))
    number = int(os.environ.get("RANK", "0"))
    path = folder / f"world-{number}.nc"
    card, sets, config = training_of(
        path, case.rows, case.columns, job["days"], case.hidden, case.steps,
        batch=case.batch, precision="float32", threads=job["threads"], epochs=1000, patience=1000,
    )  # fmt: skip
    events = fit_module(build_from_card(card), sets, config, folder / "checkpoints")
    for turn in _turns(folder):
        begin = time.perf_counter()
        for _ in range(BATCHES):
            next(event for event in events if event.kind is EventKind.PROGRESS)
        seconds = time.perf_counter() - begin
        if number == 0:
            whole = folder / f"took-{turn}.part"
            whole.write_text(repr(seconds), encoding="ascii")
            whole.rename(folder / f"took-{turn}")


def _turns(folder: Path) -> Iterator[int]:
    """Numbers of the turns asked for, until the end."""
    turn = 1
    while True:
        while not (folder / f"go-{turn}").exists():
            if (folder / END).exists():
                return
            time.sleep(0.005)
        yield turn
        turn += 1


if __name__ == "__main__":
    from freshet.core.worker.beside import leave

    train(Path(sys.argv[1]))
    leave(0)
