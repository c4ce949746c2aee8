"""The pages docs/why.md, docs/why-moselle.md and docs/why-lievre.md: commentary by hand, figures from docs/why.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from why_words_lievre import lievre_page
from why_words_moselle import moselle_page
from why_words_tables import listed, table, wrapped


def pages(summary: Mapping[str, Any]) -> dict[str, str]:
    """The text of each page by its path."""
    return {
        "docs/why.md": first_page(summary),
        "docs/why-moselle.md": moselle_page(summary),
        "docs/why-lievre.md": lievre_page(summary),
    }


def first_page(summary: Mapping[str, Any]) -> str:
    """What the pages are, and whether attributions find what is true where that is known."""
    text = f"""# Why did the model say so?

Freshet says for a cell, a polygon, a gauge or the whole basin and any date which variable, where and how many steps
back made a prediction what it is. Two pages show what comes out on real basins, and read it critically:

- [The Moselle](why-moselle.md): soil moisture from rain, temperature and PET, on maps.
- [The Lievre](why-lievre.md): discharge at a gauge below lakes and reservoirs, from maps of runoff.

Both are made by `make why DATA=folder` (`scripts/why_pages.py`), which anyone who has the packs can run again; the
figures are in [why.json](why.json). Commentary is written by hand for these figures.

## What they teach
1. **An attribution explains the model, not the river.** Both models say things that no river does: soil moisture that
   is fed by the rain of the neighbouring cell, a basin of lakes that forgets within days. The maps show it; the scores
   do not.
2. **Ask what it is compared with.** On the Moselle's driest day rain *raises* soil moisture against one baseline and
   *lowers* it against another. Both are right: they answer different questions.
3. **Maps hold the pattern of the network too.** A CNN with strides draws stripes that have nothing to do with water.
4. **A share is no importance.** What moved the predictions need not have made them better: shuffle it and see.
5. **Several models are a cheap check.** Where seeds disagree on a sign, there is nothing to interpret.

{proof(summary.get("proof", {}))}"""
    return wrapped(text)


def proof(cases: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The table of the example basin, and what it says."""
    if not cases:
        return ""
    rows, held, small, delays = [], [], [], []
    for case, gauges in cases.items():
        basin, weights = case.split(":")
        for name, facts in gauges.items():
            area = facts["ratio"] >= 2.0 or facts["chance"] > 0.5
            held.append((basin, area and facts["delay"] > 0.6))
            small += [facts] if facts["chance"] <= 0.5 else []
            delays.append((basin, facts["delay"]))
            rows.append(
                (f"basin {basin}, weights {weights}", name, f"{facts['chance']:.2f}", f"{facts['inside']:.2f}",
                 f"{facts['ratio']:.2f}", f"{facts['ratio_randomised']:.2f}", f"{facts['delay']:+.2f}",
                 f"{facts['delay_randomised']:+.2f}")
            )  # fmt: skip
    head = ("case", "gauge", "chance", "inside", "times chance", "same, randomised weights", "delay, rank r",
            "same, randomised weights")  # fmt: skip
    return f"""## Where the truth is known
The basin that Freshet brings along has known flow paths and travel times. `scripts/explain_proof.py` trains a model of
gauges on maps of runoff and terrain and asks: do the 20 % of cells with the largest contributions lie in the area that
drains to the gauge, at least twice as often as chance, and does the map of delays rank its cells as the true travel
times do, above 0.6? The set-up was found by trying on basin 1 with other weights and other dates. Here it is judged on
what was not looked at then: on basin 1 with new weights on dates midway between those, and on two basins of other
terrain and weather. Nothing was changed after these figures were seen. Training takes 30 epochs, all of it half an hour
of two busy cores.

{table(head, rows)}
{_verdict(held, small, delays, cases)}
"""


def _control(cases: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """What randomised weights give, each model by itself."""
    every = [facts for gauges in cases.values() for facts in gauges.values()]
    areas = [ratio for facts in every if facts["chance"] <= 0.5 for ratio, _ in facts["controls"]]
    delays = [r for facts in every for _, r in facts["controls"]]
    return (
        f"Of single models of randomised weights {sum(ratio >= 2.0 for ratio in areas)} of {len(areas)} reach twice "
        f"chance and {sum(r > 0.6 for r in delays)} of {len(delays)} the rank correlation (the table has the means of "
        "eight), so one map of delays that looks right is no proof of anything."
    )


def _verdict(
    held: Sequence[tuple[str, bool]], small: Sequence[Mapping[str, float]], delays: Sequence[tuple[str, float]],
    cases: Mapping[str, Any],
) -> str:  # fmt: skip
    both = sum(good for _, good in held)
    scores = [facts["nse"] for gauges in cases.values() for facts in gauges.values()]
    spreads = [facts["travel_days_spread"] for gauges in cases.values() for facts in gauges.values()]
    twice = sum(facts["ratio"] >= 2.0 for facts in small)
    known = [(basin, r > 0.6) for basin, r in delays]
    good = [basin for basin in dict.fromkeys(basin for basin, _ in known) if all(ok for b, ok in known if b == basin)]
    return (
        f"**Where:** {twice} of {len(small)} gauges that drain less than half of their basin reach twice chance (one "
        "that drains more cannot: twice would be more than always). **How long ago:** "
        f"{sum(ok for _, ok in known)} of {len(known)} delay maps reach 0.6; all of a basin do on "
        f"{listed(f'basin {basin}' for basin in good) if good else 'none'}. Both claims together hold for {both} of "
        f"{len(held)} gauges. {_control(cases)} The claim on the area carries over to basins that nobody looked at. "
        "That on delays does so only in part: within the area of a gauge travel times differ by "
        f"{min(spreads):.1f} to {max(spreads):.1f} days (a standard deviation), and the data are daily, so a good "
        f"score (NSE {min(scores):.2f} to {max(scores):.2f} on the test days) needs no right order. "
        "**A map of delays of a new basin is a hint, not a measurement of travel times.**"
    )
