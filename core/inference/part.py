"""A part of a run that has results of its own: one of several datasets, or one of several targets."""

from __future__ import annotations

from ..contracts.model_card import ModelCard
from ..contracts.run_folder import RunFolder


class PartOfRun(RunFolder):
    """The same run, with its results, scores and report in ``results/FOLDER``."""

    def __init__(self, run: RunFolder, folder: str) -> None:
        super().__init__(run.path)
        self.folder = folder

    results = property(lambda self: self.path / "results" / self.folder)
    report_file = property(lambda self: self.results / "report.html")
    scores_file = property(lambda self: self.results / "scores.json")


def part_of(run: RunFolder, card: ModelCard, target: int, folder: str = "") -> RunFolder:
    """Where the results of a target belong: the run itself for the first, a folder of its name for the others, below
    ``folder`` where there are several datasets.
    """
    names = [name for name in (folder, card.targets[target].name if target else "") if name]
    return PartOfRun(run, "/".join(names)) if names else run
