"""The page docs/why-moselle.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from why_words_tables import contributions, importance, listed, name_of, probes, shares, table, wrapped


def moselle_page(summary: Mapping[str, Any]) -> str:
    """Soil moisture on maps."""
    found = summary["moselle"]
    parts = (
        _models(found), _dry_day(found), _cell(found), _time(found), _drivers(found), _probes(summary), _checks(found),
    )  # fmt: skip
    return wrapped("\n\n".join(parts))


def _models(found: Mapping[str, Any]) -> str:
    data = found["data"]
    scores = [entry["model"]["nse"] for entry in found["scores"]]
    return f"""# Why: soil moisture of the Moselle

`{found["family"]}` models simulate the relative soil moisture of the upper layer, as the hydrological model mHM computes
it on cells of 4 km, from rain, temperature and PET of the last {data["window"]} days and four static maps (elevation, slope,
land cover, and the mean of the target over the training dates). {len(scores)} seeds, {found["budget_seconds"]:g} s of
processor time each; on the test period (from 1993-03-15) they reach an NSE of {listed(f"{nse:.3f}" for nse in scores)}
([real-data.md](real-data.md)). These are **good models**; the question is whether they are right for the right reasons.
Here that can be told: mHM has no flow between the upper soils of two cells, so the truth is local.

Dates and cells were chosen by rule before any answer was seen: the days of the test period with the least and the most
soil moisture in the basin's mean, and the inner cells at the 5 % and 95 % quantile of mean soil moisture. Integrated
gradients with 16 points; "season" is a run against each input's mean of the season, of the first model alone."""  # noqa: E501


def _dry_day(found: Mapping[str, Any]) -> str:
    answers, data = found["answers"], found["data"]
    dry, wet, season = (answers[name] for name in ("basin-dry", "basin-wet", "basin-dry-climatology"))
    before, corner = data["rain_before"][str(data["window"])], dry["wettest"]
    columns = {
        "basin-dry": f"driest, {dry['date']}", "basin-dry-climatology": "driest, season", "basin-wet":
        f"wettest, {wet['date']}",
    }  # fmt: skip
    count = len(found["scores"])
    unsure = [
        name_of(name) for name, value in dry["variables"].items() if abs(value) < dry["ensemble"]["spread"][name]
    ]  # fmt: skip
    return f"""## The basin on its driest and its wettest day
Relative soil moisture (-), mean of {count} models ± their standard deviation.

{contributions(answers, columns, 3)}
![What made the prediction of the driest day](pictures/why-moselle-dry.png)

- **Rain raises soil moisture on the driest day of the year?** {dry["variables"]["pre"]:+.2f} against the mean, {season["variables"]["pre"]:+.2f} against the
season. The baseline is why. Rain is scaled by a logarithm; the middle of that scale is {data["rain_of_baseline"]:.2f} mm/d, while the
mean amount is {data["rain_mean"]:.2f}. So the baseline has {data["window"] * data["rain_of_baseline"]:.0f} mm in the {data["window"]} days of the window, the mean would be {data["window"] * data["rain_mean"]:.0f}, and
{before["dry"]:.0f} mm came before this day. The baseline is a dry world: the models give it {dry["baseline_prediction"]:.2f}, where the training mean is {data["target_mean"]:.2f}. And it is
one number for all cells: {100 * corner["held"]:.0f} % of the contribution comes from the fifth of the cells where most rain fell, the
Vosges in the south-east ({corner["rain"]:.0f} mm in the window, {corner["rain_of_others"]:.0f} elsewhere), where it always rains more. The season's mean is one of each
cell; against it the sign turns. The first question is rarely the one that a person
means: **for "why is it dry today", ask against the season.**
- **PET is the summer.** {dry["variables"]["pet"]:+.2f} on the driest day, {wet["variables"]["pet"]:+.2f} on the wettest: less water is lost in December than at the
year's mean. Against the season little is left of it ({season["variables"]["pet"]:+.2f}), so that most of the contribution was the calendar.
- **The wettest day adds up to more than there is.** The models predict {wet["prediction"]:.3f} where 1 is full. Contributions explain a
prediction, also an impossible one.
- **The models agree on the answer and not on the reasons.** Their predictions differ by {dry["ensemble"]["spread_of_prediction"]:.3f} (a standard deviation) on
the driest day, their contributions of rain by {dry["ensemble"]["spread"]["pre"]:.3f}, and what they say to the baseline by {dry["ensemble"]["spread_of_baseline_prediction"]:.3f}: drizzle
for {data["window"]} days is weather that none of them has met, and each makes up its own answer. {_unsure(unsure)} A baseline that the
model knows, such as the season's mean or windows of the training period, is the better question."""  # noqa: E501


def _unsure(names: list[str]) -> str:
    if not names:
        return "On no variable do they disagree in sign."
    return f"The spread is larger than the mean for {listed(names)}: of these not even the sign is known."


def _cell(found: Mapping[str, Any]) -> str:
    answers, data = found["answers"], found["data"]
    wet, dry = answers["wet-cell"], answers["dry-cell"]
    columns = {
        "wet-cell": f"wet cell, {wet['date']}", "dry-cell": f"dry cell, {dry['date']}",
    }  # fmt: skip
    own = wet["own_cell"]
    return f"""## A wet and a dry cell
One model. Their soil moisture has a mean of {data["cell_levels"]["wet"]:.2f} and {data["cell_levels"]["dry"]:.2f}.

{contributions(answers, columns, 3)}
![What made the prediction of the wet cell](pictures/why-moselle-cell.png)

- **The map of a cell is not local, and should be.** Of the rain that counts for the wet cell only {100 * own["pre"]:.0f} % by size
(dry cell: {100 * dry["own_cell"]["pre"]:.0f} %) fell in it; the rest is put down to its neighbours. The score is not hurt by that: the weather is
constant within blocks of 24 km, six by six cells, so that the neighbour's rain *is* the cell's rain, and only the
borders of the blocks can tell the model which to read. **Read the sum over the patch, not the cell.** A model with a kernel of one cell could not
make this mistake.
- **The static map is the cell's signature.** Mean soil moisture, a map of the target's own mean, holds {dry["variables"]["mean_sm"]:+.2f} in the
dry cell, {100 * dry["own_cell"]["mean_sm"]:.0f} % of it in the cell itself: the most local map. It says "this is a dry cell" and explains nothing
about soils. Elevation and land cover ({dry["variables"]["elevation"]:+.2f}, {dry["variables"]["land_cover"]:+.2f}) then correct it; that these have a physical
meaning of their own cannot be told here. Against the season static maps are the same on both sides and get nothing,
which is a choice, not a finding."""  # noqa: E501


def _time(found: Mapping[str, Any]) -> str:
    answers, data, held = found["answers"], found["data"], found["held_by_step_back"]
    centres = answers["basin-wet"]["delay"]["centre_by_variable"]
    items = {item["input"]: item for item in answers["importance"]["items"]}
    warmth, air, pet = (items[name] for name in ("warmth", "tavg", "pet"))
    all_dates = answers["shares"]["by_season"]["All dates"]
    level = 100 * sum(all_dates[name] for name in ("mean_sm", "elevation", "slope", "land_cover"))
    return f"""## How long ago, and how much each input matters
Over {len(answers["shares"]["dates"])} dates, basin's mean: of what steps contribute {listed(f"{100 * held[step]:.0f} % lies within {step} days" for step in ("7", "30", "60"))}.
On the wettest day the mean delay of rain is {centres["pre"]:.0f} days. Weeks of memory are what an upper soil layer has; that warmth
should count for longer than rain ({centres["tavg"]:.0f} days) is less plain: its slow swings may stand for the season.

{shares(answers["shares"])}
![Shares by season, and by steps back](pictures/why-moselle-shares.png)

{importance(answers["importance"], 3)}
- **The order is not the same.** Rain leads the shares ({100 * all_dates["pre"]:.0f} %, PET {100 * all_dates["pet"]:.0f} %), PET leads the importance. Windows change places
within the test period: a window of rain looks like another, while PET of July in November breaks the season. Shares tell
what moves the prediction of a day, importance what the score rests on; neither is the other.
- **Temperature and PET are one thing here** (r = {data["temperature_pet_r"]:.2f} in the basin's mean). How the model
shares the summer between them is chance: temperature gets {100 * all_dates["tavg"]:.0f} %, PET {100 * all_dates["pet"]:.0f} %. Shuffled alone they cost {air["rmse_rise"]:.3f} and
{pet["rmse_rise"]:.3f} of RMSE, together {warmth["rmse_rise"]:.3f}. {_together(warmth, air, pet)} **Speak of both together.** mHM is given PET, so that
temperature acts on its soil by way of snow, and more than 1 mm of snow lies on {100 * data["snow_days_share"]:.0f} % of the test days: most of what temperature
holds is probably borrowed from PET.
- **Static maps hold {level:.0f} % of the shares of the basin's mean, and far more of a cell.** In the mean over the basin what is above and
below the level cancels; shuffled among the cells they cost {_static(answers["importance"])}."""  # noqa: E501


def _together(warmth: Mapping[str, Any], air: Mapping[str, Any], pet: Mapping[str, Any]) -> str:
    apart = air["rmse_rise"] + pet["rmse_rise"]
    if warmth["rmse_rise"] < 0.9 * apart:
        return "Together they cost less than the sum: shuffling one alone makes weather that does not exist."
    if warmth["rmse_rise"] > 1.1 * apart:
        return "Together they cost more than the sum: each stands in for the other."
    return "That is about the sum."


def _static(answer: Mapping[str, Any]) -> str:
    kept = [item for item in answer["items"] if item["kind"] == "static"]
    return listed(f"{item['rmse_rise']:.3f} ({item['label'].lower()})" for item in kept)


def _drivers(found: Mapping[str, Any]) -> str:
    drivers = found["answers"]["drivers"]
    rows = [
        [name_of(name), count, f"{100 * count / drivers['cells']:.0f} %",
         f"{drivers['mean_absolute_contribution'][name]:.3f}"]
        for name, count in sorted(drivers["cells_by_driver"].items(), key=lambda pair: -pair[1])
    ]  # fmt: skip
    return f"""## Which driver, where
Of each cell on {drivers["date"]}, against the mean: the variable with the largest contribution.

{table(["driver", "cells", "share", "mean size (-)"], rows)}
![Dominant driver of each cell, and its margin](pictures/why-moselle-drivers.png)

The margin over the second is {drivers["median_margin"]:.2f} in the median cell (0 is a tie, 1 nothing else). Blocks with straight edges are
those of the 24 km weather, not of soils or valleys, and the rim is probably the network's: beyond the basin it reads no weather. The
band from north to south where mean soil moisture wins follows a map that was made from the target. Where the margin is
near zero the colour is a toss. And the map inherits the baseline: rain is "the driver" of cells on a dry day for the
reason told above. Contributions leave {100 * drivers["residual_share_median"]:.2g} % unexplained in the median cell."""  # noqa: E501


def _probes(summary: Mapping[str, Any]) -> str:
    maps, flow = summary["moselle"], summary["moselle-gauge"]
    soil = flow["answers"]["probe-sm_l1"]
    return f"""## What the memory knows
Linear regressions from the model's states to variables that it was never trained on, fitted on the training period and
judged on the test period. Beside r stands that of a plain mean over the basin: of the variable itself where that says
something (which no model has), else of the input that goes along with it best.

From the soil moisture model's states, on maps (r in time, median of the cells):

{probes(maps["answers"], ("sm_l2", "aet", "snowpack"))}
From the states of a `{flow["family"]}` that learned the discharge of the Moselle (NSE {flow["scores"][0]["model"]["nse"]:.2f} on 1993), the basin's mean:

{probes(flow["answers"], ("sm_l1", "sm_l2", "aet", "snowpack"))}
{_probe_words(maps["answers"], flow["answers"], soil)}"""  # noqa: E501


def _probe_words(maps: Mapping[str, Any], flow: Mapping[str, Any], soil: Mapping[str, Any]) -> str:
    top = max(layer["r"] for layer in soil["layers"])
    pet = soil["references"]["pet"]
    snow = flow["probe-snowpack"]
    snow_best = max(layer["r"] for layer in snow["layers"])
    return f"""- **On maps the states know less than the basin's mean does.** {maps["probe-aet"]["layers"][0]["r"]:.2f} for evaporation and {maps["probe-sm_l2"]["layers"][0]["r"]:.2f} for the deeper soil look
like something; but the cells of the basin go up and down together, so that the mean of the variable itself tells a cell's
course better. A map of such a probe holds the season, not the place.
- **The reference decides.** A discharge model whose states tell soil moisture with r = {top:.2f} sounds like understanding. Plain
PET, without any model, reaches {pet:+.2f}: both follow the season. What the states know beyond what PET
alone tells is little at best. Shuffled in time all of it is gone, which shows only that the probe is no
artefact of its many weights.
- **Which state is chosen by rule, not by the result.** Fitted on {soil["fitted_on"]["dates"]} dates from {soil["fitted_on"]["first"]} to {soil["fitted_on"]["last"]}; the table has the state that did best on the last quarter of the
dates fitted on; another would have been better afterwards. To report that one alone would flatter.
- **Snow is not known.** r = {snow_best:.2f} at best from discharge, with an NSE of {snow["layers"][-1]["nse"]:.2f} (worse than the mean), where plain
temperature has {snow["references"]["tavg"]:+.2f}. Snow is rare in this basin and of short stay; there was little to learn."""  # noqa: E501


def _checks(found: Mapping[str, Any]) -> str:
    cell = found["answers"]["wet-cell"]
    check = cell["check"]
    return f"""## Do the checks notice?
Of the wet cell: rank correlation with the same method on randomised weights {check["rank_correlation_randomised"]:+.2f}, so signs and order were learned;
of sizes alone {check["rank_correlation_of_sizes_randomised"]:+.2f}: large rain is large in any model. Deletion of the most attributed inputs first moves the prediction faster
than a random order (area {check["deletion_area"]:+.2f}). Completeness: {100 * cell["residual_share"]:.2g} % unexplained. **All checks pass, and the map is still wrong** about where the
water came from. Checks tell whether an attribution is true to the model. Whether the model is true to the basin, they
cannot know; for that one needs what is known of the basin.

## What may be said
- Rain and the drying power of the air of the last weeks make this soil moisture: yes, in sum, by both methods.
- How much is temperature's and how much PET's: no. How much is the neighbour's: no. A static map as a cause: no.
- "Rain made it wetter on that day": only with the words "than ...", which the baseline holds."""  # noqa: E501
