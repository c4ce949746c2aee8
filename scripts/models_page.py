"""Write docs/models.md, the page of all model families, from the model catalogue: ``models_page.py [FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import quote

from freshet.core.contracts.models import FAMILIES, Family
from freshet.core.models import REGISTRY, build_model

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"
HEAD = """# The models

Every family of the model catalogue: what it is, which paper it follows, what it can do, and its options. The page is
made from the catalogue by `scripts/models_page.py`; `freshet models` lists the same. Each family equals a plain
transcription of its equations, written as loops in `tests/core/models`; where a paper is silent or wrong, the
docstring of the family's class says what was done. How they compare on real data stands in
[real-data.md](real-data.md), what they are good for beside prediction in [uses.md](uses.md).

"What it can do" uses these words: *maps* and *gauges* are what it predicts; *any grid* means that a trained model
serves a basin of another size; *every cell on its own* that it knows no neighbours; *static maps*, *gaps* (a mask of
missing input) and *known ahead* (such as a weather forecast) are what it reads; *water* means that precipitation enters
as an amount in mm and the balance closes. Weights are counted with three inputs, two static maps where it reads them,
one target, one lead and the default options.
"""


def main(arguments: list[str]) -> int:
    """Write the page."""
    path = Path(arguments[0]) if arguments else PAGE
    path.write_text(page(), encoding="utf-8")
    print(path)
    return 0


def page() -> str:
    """The whole page as Markdown."""
    rows = ["| family | label | predicts | weights | paper |", "|---|---|---|---|---|"]
    rows += [
        f"| [`{item.name}`](#{anchor(item)}) | {item.label} | {' and '.join(item.gives)} | {weights(item)} | "
        f"{link(item, short_paper(item))} |"
        for item in FAMILIES
    ]
    return "\n".join([HEAD, *rows, "", *(section(item) for item in FAMILIES)]).rstrip() + "\n"


def section(item: Family) -> str:
    """One family: summary, paper, what it can do, presets, options."""
    lines = [f"## {item.name}", "", f"**{item.label}.** {item.summary}", ""]
    lines += [f"{item.paper}. {link(item, f'doi:{item.doi}') if item.doi else ''}".rstrip(), ""]
    lines += [f"*{'; '.join(abilities(item))}.*", ""]
    for preset in item.presets:
        lines += [f"Preset `{preset.name}` ({preset.label}): {preset.help}", ""]
    if item.options:
        lines += ["| option | default | meaning |", "|---|---|---|"]
        lines += [
            f"| `{option.name}` | {default(option.default)} | {meaning(option.rule)} |" for option in item.options
        ]
        lines.append("")
    return "\n".join(lines)


def abilities(item: Family) -> list[str]:
    """What a family can do, in the words of the page's head."""
    found = [" and ".join(item.gives), "any grid" if item.any_grid else "bound to its grid"]
    if item.one_cell:
        found.append("every cell on its own")
    reads = [
        word
        for word, has in (
            ("static maps", item.uses_static),
            ("gaps", item.uses_observed),
            ("basin mask", item.uses_mask),
            ("known ahead", item.uses_ahead),
        )
        if has
    ]
    if reads:
        found.append("reads " + ", ".join(reads))
    if item.mass_input:
        found.append("water")
    if not item.several_leads:
        found.append("one lead")
    if not item.differentiable:
        found.append("no gradients, so no attribution by them")
    found.append({"gradient": "learns by epochs", "at once": "learns at once"}.get(item.learns, "learns nothing"))
    return found


def weights(item: Family) -> str:
    """Number of trainable weights of the defaults; a dash where they depend on the data."""
    if item.name not in REGISTRY or item.learns != "gradient":
        return "-"
    gauges = 0 if "maps" in item.gives else 1
    model = build_model(item.name, 3, 1, static_channels=2 if item.uses_static else 0, gauges=gauges)
    return f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,}"


def short_paper(item: Family) -> str:
    """First author and year."""
    first = item.paper.split(",")[0].split("(")[0].strip()
    year = next((part[:4] for part in item.paper.split("(")[1:] if part[:4].isdigit()), "")
    return f"{first} {year}".strip()


def default(value: object) -> str:
    """A default as it is written in a job."""
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value).lower() if isinstance(
        value, bool
    ) else str(value)  # fmt: skip


def meaning(rule: object) -> str:
    """Label, help, range and unit of an option."""
    words = f"{rule.label}. {rule.help}".replace("|", "/")
    if rule.choices:
        words += f" One of {', '.join(map(str, rule.choices))}."
    elif rule.minimum is not None and rule.maximum is not None:
        words += f" From {rule.minimum:g} to {rule.maximum:g}{f' {rule.unit}' if rule.unit else ''}."
    return words


def anchor(item: Family) -> str:
    """The link that a Markdown viewer gives the heading; it drops signs and counts headings that are then alike."""
    plain = [other.name.replace("+", "").lower() for other in FAMILIES]
    place = FAMILIES.index(item)
    before = plain[:place].count(plain[place])
    return plain[place] + (f"-{before}" if before else "")


def link(item: Family, words: str) -> str:
    """``words`` as a link to the paper, where it has a DOI."""
    return f"[{words}](https://doi.org/{quote(item.doi, safe='/:().;')})" if item.doi else words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
