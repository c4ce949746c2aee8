"""Shares by season: what moved the predictions of many dates, and from how far back."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtWidgets import QWidget

from ...core.contracts import RunFolder, SharesJob
from ...core.contracts.question_checks import check_baseline, check_shares
from ..forms import Form, config_fields
from ..text import percent, tr
from .context import Asked, WhyContext
from .period_choice import PeriodChoice
from .place_choice import PlaceChoice
from .question_answer import QuestionAnswer, brief, read_facts, small
from .question_charts import COLOURS, CumulativeChart, CumulativeData, SeasonChart, SeasonData
from .question_panel import QuestionPanel, step_name, values_without

FIELDS = ("dates", "baseline", "steps")
TABLES = (("shares.csv", "by season"), ("cumulative.csv", "cumulative by steps back"))
ALL = "All dates"
_NEEDED = ("by_season", "cumulative", "labels", "steps_back")


class SharesPanel(QuestionPanel):
    """A place, a period, and how many of its dates."""

    verb = "shares"
    name = "Shares"

    def __init__(self, context: WhyContext, parent: Optional[QWidget] = None) -> None:
        super().__init__(context, parent)
        self.place = PlaceChoice(context, self.prefix, ("basin", "cell", "polygon", "gauge"))
        self.period = PeriodChoice(context, f"{self.prefix}Period", tr("to explain"), tr("test period"))
        self.form = Form(config_fields(SharesJob, FIELDS), f"{self.prefix}Method")
        self.column.insertWidget(0, self.place)
        self.add_row(tr("Period"), self.period)
        self.column.addWidget(self.form)
        self._answer = SharesAnswer(self.prefix)
        for part in (self.place, self.period, self.form):
            part.changed.connect(lambda *_: self.changed.emit())

    @classmethod
    def title(cls) -> str:
        return tr("Shares by season")

    def button_text(self) -> str:
        return tr("Measure the shares")

    def button_tip(self) -> str:
        return tr("Explains many dates, and takes the mean share of each variable by season and by steps back.")

    def job(self) -> SharesJob:
        values = values_without(self.place.values(), "basin")
        return SharesJob(period=self.period.period(), **values, **self.form.values(), **self.common())

    def run_title(self, job: Any) -> str:
        return tr("Shares, {place}").format(place=self.place.words())

    def check(self, asked: Asked) -> None:
        """A model with gradients; rain for a dry baseline."""
        if asked.card is not None:
            check_shares(asked.card)
            check_baseline(self.form.values()["baseline"], asked.card)
        super().check(asked)

    def follow(self) -> None:
        self.place.follow()

    def answer(self) -> QWidget:
        return self._answer

    def show_result(self, run: Optional[RunFolder]) -> None:
        self._answer.show_result(run)

    def leave(self) -> None:
        self.place.leave_map()

    def release(self) -> None:
        self.place.release()


class SharesAnswer(QuestionAnswer):
    """Stacked shares by season, and cumulative shares by steps back, in the same colours."""

    def __init__(self, prefix: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(prefix, TABLES, parent)
        self.seasons = SeasonChart(f"{prefix}Seasons", 230)
        self.cumulative = CumulativeChart(f"{prefix}Cumulative", 200)
        self.add(self.seasons, self.cumulative)

    def show_result(self, run: Optional[RunFolder]) -> None:
        """Show the answer of a run; None clears."""
        found = read_facts(run, "shares.json", _NEEDED)
        if run is None or found is None:
            self.show_run(None)
            return
        self.show_run(run, share_words(found), share_doubts(found))
        labels = {name: brief(label, name) for name, label in found["labels"].items()}
        colours = {label: COLOURS[place % len(COLOURS)] for place, label in enumerate(labels.values())}
        named = {
            tr(season): {labels.get(name, name): share for name, share in held.items()}
            for season, held in found["by_season"].items()
        }
        self.seasons.show_data(SeasonData(named, colours))
        lines = {labels.get(name, name): values for name, values in found["cumulative"].items()}
        self.cumulative.setVisible(bool(lines))
        words = step_name(found.get("step_seconds"))
        self.cumulative.show_data(CumulativeData(lines, list(found["steps_back"]), colours, words))


def share_words(found: dict[str, Any]) -> str:
    """The answer in sentences."""
    labels = found["labels"]
    overall = found["by_season"].get(ALL) or next(iter(found["by_season"].values()), {})
    ranked = sorted(overall.items(), key=lambda item: -item[1])
    dates = found.get("dates", [])
    words = tr("Over {count} dates from {first} to {last}: ").format(
        count=len(dates), first=dates[0][:10] if dates else "-", last=dates[-1][:10] if dates else "-"
    )
    words += ", ".join(f"{small(labels.get(name, name))} {percent(share)}" for name, share in ranked[:4])
    words += tr(" of what moved the prediction away from the baseline.")
    half = half_back(found)
    if half is not None:
        words += " " + _half_words(half, found["steps_back"][0], step_name(found.get("step_seconds")))
    left = found.get("residual_share_median")
    return words + (" " + tr("Not accounted for: {share} (median).").format(share=percent(left)) if left else "")


def _half_words(half: int, youngest: int, steps: str) -> str:
    if half == youngest:
        return tr("Half of what steps contribute comes from the last one that the model reads.")
    if half == 1:
        return tr("Half of what steps contribute comes from at most one step back.")
    text = tr("Half of what steps contribute comes from at most {half} {steps} back.")
    return text.format(half=half, steps=steps)


def half_back(found: dict[str, Any]) -> Optional[int]:
    """How many steps back half of what all steps contribute lies."""
    lines = list(found["cumulative"].values())
    if not lines or not found["steps_back"]:
        return None
    total = [sum(values) for values in zip(*lines)]
    if not total or total[-1] <= 0:
        return None
    return int(next(back for back, share in zip(found["steps_back"], total) if share >= 0.5 * total[-1]))


def share_doubts(found: dict[str, Any]) -> list[str]:
    """What makes the answer doubtful: few dates, seasons without any, a large remainder."""
    doubts = []
    dates, seasons = len(found.get("dates", [])), [name for name in found["by_season"] if name != ALL]
    if dates < 4 * max(1, len(seasons)):
        doubts.append(
            tr("Only {dates} dates in {seasons} seasons: take more dates before you compare seasons.").format(
                dates=dates, seasons=len(seasons)
            )
        )
    if len(seasons) < 4 and dates:
        doubts.append(tr("The period has dates in {seasons} only.").format(seasons=", ".join(seasons)))
    left = found.get("residual_share_most")
    if left is not None and left > 0.05:
        doubts.append(tr("Up to {share} of a date stays unexplained: take more steps.").format(share=percent(left)))
    return doubts
