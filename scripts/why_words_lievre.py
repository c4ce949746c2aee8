"""The page docs/why-lievre.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from why_words_tables import contributions, importance, listed, shares, wrapped


def lievre_page(summary: Mapping[str, Any]) -> str:
    """Discharge behind lakes and dams."""
    found = summary["lievre"]
    answers, data = found["answers"], found["data"]
    high, low, checked, climate = (answers[name] for name in ("high", "low", "high-checked", "high-climatology"))
    held, scores = found["held_by_step_back"], [entry["model"]["nse"] for entry in found["scores"]]
    stripes, check = high["stripes"], checked["check"]
    items = {item["label"]: item for item in answers["importance"]["items"]}
    air = items["Air temperature"]
    air_share = 100 * answers["shares"]["by_season"]["All dates"]["tavg"]
    spread = high["ensemble"]
    text = f"""# Why: discharge of the Lievre

`{found["family"]}` models learn the observed discharge of the Lievre (gauge 02LE024) from daily maps of simulated
runoff and of air temperature over the last {data["window"]} days, without past discharge. Large lakes and reservoirs lie between
the runoff and the gauge. {len(scores)} seeds, {found["budget_seconds"]:g} s of processor time each, learned on 2000-2005; on 2007-2010
they reach an NSE of {listed(f"{nse:.2f}" for nse in scores)}. **These are weak models** (a linear regression reaches 0.44,
[real-data.md](real-data.md)), which is why they are here: what do attributions say of a model that knows little?

## The highest and the lowest day
Chosen before any answer was seen: the days of the test period with the highest and the lowest observed discharge. m3/s,
integrated gradients, mean of {len(scores)} models ± their standard deviation.

{contributions(answers, {"high": f"highest, {high['date']}", "low": f"lowest, {low['date']}", "high-climatology": "highest, one model, against the season's mean"}, 0)}
![What made the prediction of the highest day](pictures/why-lievre-high.png)

- **The flood is there, half of it.** {high["prediction"]:.0f} of {high["observed"]:.0f} m3/s. All of it is put down to runoff, none to warmth, as
  it should be where runoff already holds the melt. The models differ by {spread["spread_of_prediction"]:.0f} m3/s (a standard deviation). Runoff has
{spread["parts_of_spread"]["streaminput"]:+.0f} of that, the baseline {spread["parts_of_spread"]["baseline"]:+.0f}: they agree on what, not on how much.
- **The low is not in the inputs.** {low["prediction"]:.0f} against {low["observed"]:.1f} m3/s observed, after 60 days with {data["water_before"]["low"]:.0f} mm of runoff, not much
  less than the mean of {60 * data["water_mean"]:.0f}. The contributions are small ({low["variables"]["streaminput"]:+.0f} ± {low["ensemble"]["spread"]["streaminput"]:.0f} and
  {low["variables"]["tavg"]:+.0f} ± {low["ensemble"]["spread"]["tavg"]:.0f}): the models see an ordinary day. Lakes and
reservoirs lie upstream; water held back there would look like this, but nothing here proves it. No attribution can find
what a model was never told.
- **The baseline is half of the answer.** With every input at its mean the model gives {checked["baseline_prediction"]:.0f} m3/s, with each at the mean of
  its season {climate["baseline_prediction"]:.0f}, so runoff is worth {checked["variables"]["streaminput"]:+.0f} or {climate["variables"]["streaminput"]:+.0f} on the same day, in the same model. Say
  "above the mean" or "above what April usually brings", never the number alone. (Observed mean: {data["mean_flow"]:.0f}; the model's
  answer to mean weather is not its mean answer.)

## How long the model remembers
Of all that the steps of the window contributed, over {len(answers["shares"]["dates"])} dates,
{100 * held["0"]:.0f} % is of the day itself, {100 * held["3"]:.0f} % of the last 3 days, {100 * held["7"]:.0f} % of the last week and {100 * held["14"]:.1f} % of the last
two. The window has {data["window"]} days, and all but the last month is dead weight for these models.

{importance(answers["importance"], 2)}
Permutation says the same by other means: shuffled blocks older than a month change nothing, beyond 90 days to the last
digit. Runoff as a whole matters; of no block by itself is that shown, the intervals are wide; and what the model makes of
8 to 30 days back does harm. Runoff goes along best with discharge when it is moved by {data["best_lag"]} days, so a short memory is
not absurd. That *nothing* of what lakes hold over months is carried on is a fault of these models. Its cause is not
shown here: {found["budget_seconds"]:g} s of training with strong weight decay leave little room to learn what is slow, and a longer window would
not mend that. A model that keeps water would be tried next.

## Shares
{shares(answers["shares"])}
![Shares by season, and by steps back](pictures/why-lievre-shares.png)

**Do not read these as importance.** Air temperature holds {air_share:.0f} % of what moved the predictions. Shuffled, it raises the
RMSE by {air["rmse_rise"]:.1f} m3/s with an interval of {air["rmse_rise_low"]:.1f} to {air["rmse_rise_high"]:.1f}, which holds zero. It moves the model; whether it makes it
better is not shown. Sizes are shares of each date, so a quiet summer day with tiny contributions counts as much as the
flood: that is where temperature gets its share.

## Where the map should not be believed
The map of runoff's contributions has stripes: cells in every fourth row and column contribute
{stripes["contributions"]:.2f} times as much as the others, while {stripes["runoff"]:.2f} times as much runoff came from them that week. No river does that. The
CNN steps over the map with strides of two, twice; cells on which a stride lands only once reach the next layer through
fewer weights. **The sum over the basin can be read, a single cell cannot.** For a map that means something, use a
family without strides (`convlstm-gauge`), or sum over sub-basins.

## Do the checks notice?
Partly. On a model of randomised weights the same method gives contributions whose rank correlation with these is
{check["rank_correlation_randomised"]:+.2f}, so signs and order come from what was learned. Of sizes alone it is {check["rank_correlation_of_sizes_randomised"]:+.2f}: *where and when*
something is large comes from the input and from the network's build, in any model, so no check of this kind warns of
stripes. The deletion curve (area {check["deletion_area"]:+.2f}) says that what is attributed first does count first *for the
model*. Completeness: {100 * high["residual_share"]:.2g} % unexplained. All of this can be right, and is, while the map is not one of the river.

No probe is shown: the pack holds no variable, such as snow or lake level, that the model was not given.
"""  # noqa: E501
    return wrapped(text)
