"""Other weather: inputs of a window changed by factors, amounts and painted rain, as the model would have read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from ..contracts import ChangeConfig, PeriodConfig, StormConfig
from ..contracts.dates import parse_date
from ..contracts.errors import ConfigError, DataError
from ..contracts.grid import Grid
from ..contracts.model_card import ModelCard, VariableCard
from ..contracts.units import convert
from ..contracts.variables import quantity
from ..data.scaling import Scaler
from ..data.splits import period_steps
from ..data.store import Dataset
from ..data.windows import WindowData, continued
from ..inference.geotiff import iso, read_series, same_grid
from .baselines import PRECIPITATION
from .place import cells_inside, parse_polygons


@dataclasses.dataclass(frozen=True)
class Added:
    """What happens to one variable: ``factor`` and ``amount`` in its unit, per step of ``steps`` (positions on the
    record) and cell (broadcast to (steps, H, W)); all steps where ``steps`` is None. ``words`` tell it.
    """

    variable: str
    steps: Optional[np.ndarray]
    factor: np.ndarray
    amount: np.ndarray
    words: str


@dataclasses.dataclass(frozen=True)
class Changed:
    """``data`` with the changes, what they are in words, and what is to be noted."""

    data: WindowData
    words: list[str]
    notes: list[str]


class Weather:
    """The values of a record that a model reads, in their units, and how they become its input."""

    def __init__(self, dataset: Dataset, card: ModelCard, data: WindowData) -> None:
        self.dataset, self.card, self.data = dataset, card, data
        self._known: dict[int, np.ndarray] = {}

    def change(self, changes: Sequence[Added], first: int = 0, stop: Optional[int] = None) -> Changed:
        """Apply changes one after the other to the steps from ``first`` to ``stop`` (exclusive) of the record, which
        alone are in the data that comes back. Missing values stay missing; what cannot be below 0 stops there.
        """
        stop = len(self.data.times) if stop is None else stop
        data, notes = steps_only(self.data, first, stop), []
        for name in dict.fromkeys(item.variable for item in changes):
            mine = [item for item in changes if item.variable == name]
            variable = variable_of(self.card, name)
            if name in {v.name for v in self.card.static}:
                data = self._static(data, variable, mine, notes)
                continue
            steps = steps_of(mine, len(self.data.times))
            steps = steps[(steps >= first) & (steps < stop)]
            if len(steps):
                data = self._dynamic(data, variable, mine, steps, first, notes)
        return Changed(data, [item.words for item in changes], notes)

    def _dynamic(
        self, data: WindowData, variable: VariableCard, mine: list[Added], steps: np.ndarray, first: int,
        notes: list[str],
    ) -> WindowData:  # fmt: skip
        values = self._read(variable.name, steps)
        for item in mine:
            at = np.isin(steps, item.steps) if item.steps is not None else slice(None)
            values[at] = values[at] * item.factor + item.amount
        values = _bounded(values, variable, self.data.mask, notes)
        scaled = Scaler.from_dict(variable.scaler).transform(values)
        for role, field in (("inputs", "x"), ("ahead", "ahead")):
            names = [item.name for item in getattr(self.card, role)]
            if variable.name not in names:
                continue
            channel = names.index(variable.name)
            known = self._ever_known(channel) if field == "x" else np.isfinite(scaled).any(axis=0)
            whole = getattr(data, field).copy()
            filled = continued(scaled, known | np.isfinite(scaled).any(axis=0))
            whole[steps - first, channel] = np.nan_to_num(filled, nan=0.0, posinf=0.0, neginf=0.0)
            data = dataclasses.replace(data, **{field: whole})
        return data

    def _static(
        self, data: WindowData, variable: VariableCard, mine: list[Added], notes: list[str]
    ) -> WindowData:  # fmt: skip
        channels = {v.name: place for v, place in self.card.static_slices()}[variable.name]
        values = self.dataset.static_map(variable.name).astype(np.float64)
        for item in mine:
            values = values * item.factor[0] + item.amount[0]
        values = _bounded(values[None], variable, self.data.mask, notes)[0]
        whole = Scaler.from_dict(variable.scaler).channels(continued(values, np.isfinite(values)))
        static = data.static.copy()
        static[channels] = np.nan_to_num(whole, nan=0.0, posinf=0.0, neginf=0.0)
        return dataclasses.replace(data, static=static)

    def _read(self, name: str, steps: np.ndarray) -> np.ndarray:
        """float64 (steps, H, W) in the variable's unit."""
        first, stop = int(steps[0]), int(steps[-1]) + 1
        return self.dataset.dynamic(name, first, stop)[steps - first].astype(np.float64)

    def _ever_known(self, channel: int) -> np.ndarray:
        """bool (H, W): cells in which an input was observed at some step of the record."""
        if self.data.observed is None:
            return np.ones(self.data.mask.shape, dtype=bool)
        if channel not in self._known:
            self._known[channel] = self.data.observed[:, channel].any(axis=0)
        return self._known[channel]


def steps_only(data: WindowData, first: int, stop: int) -> WindowData:
    """``data`` with the steps from ``first`` to ``stop`` (exclusive) only, as views."""
    part = slice(first, stop)
    cut = {name: getattr(data, name) for name in ("times", "x", "observed", "season", "y", "ahead")}
    cut = {name: None if values is None else values[part] for name, values in cut.items()}
    return dataclasses.replace(data, **cut)


def change_of(config: ChangeConfig, card: ModelCard, data: WindowData) -> Added:
    """A change as numbers on the grid. Raises :class:`ConfigError`, :class:`DataError` where it does not fit."""
    variable = variable_of(card, config.variable)
    fixed = variable.name in {v.name for v in card.static}
    if fixed and (config.period.start or config.period.end):
        raise ConfigError(
            f"'{variable.name}' does not vary in time, but its change has a period", remedy="Leave the period empty"
        )
    if variable.channels > 1:
        raise ConfigError(
            f"'{variable.name}' is a map of classes and cannot be multiplied or added to",
            remedy="Change a map of measures",
        )
    inside = np.ones(data.mask.shape, dtype=bool)
    if config.polygon:
        inside = cells_inside(data.grid, parse_polygons(config.polygon))
        if not inside.any():
            west, south, east, north = data.grid.extent
            raise DataError(
                f"The polygon of the change of '{variable.name}' holds the centre of no cell",
                expected=f"a polygon within x {west:.10g} to {east:.10g}, y {south:.10g} to {north:.10g}",
                remedy="Draw a larger polygon, or check that it is in the CRS of the dataset",
            )
    steps = None if fixed else _period_positions(config.period, data.times)
    words = _change_words(config, variable, int((inside & data.mask).sum()), data, steps)
    factor, amount = np.where(inside, config.factor, 1.0)[None], np.where(inside, config.amount, 0.0)[None]
    return Added(variable.name, steps, factor, amount, words)


def storm_of(config: StormConfig, card: ModelCard, data: WindowData) -> list[Added]:
    """Painted rain as amounts in the unit of the variable that takes it. Raises :class:`ConfigError`,
    :class:`DataError` where the model reads no rain, or date, cell or raster do not fit.
    """
    variable = _rain_input(card, config.variable)
    scale, _ = convert("mm", variable.units, data.step_seconds)
    if config.raster:
        dates, maps = _read_rain(config, data.grid)
    else:
        dates, maps = [_step_of(config.date, data.times)], _painted(config.cells, data.grid)[None]
    found = []
    _check_rain(maps, data)
    for date, rain in zip(dates, maps):
        position = date if isinstance(date, int) else _step_of(date, data.times)
        words = f"{rain.max():.4g} mm of rain at most, {_mean_inside(rain, data.mask):.3g} mm in the basin's mean, "
        words += f"painted on {iso(data.times[position])} over {int((rain != 0).sum())} cells"
        found.append(Added(variable.name, np.array([position]), np.ones((1, 1, 1)), scale * rain[None], words))
    return found


def _check_rain(maps: np.ndarray, data: WindowData) -> None:
    """Raise :class:`DataError` for rain (n, H, W) that is negative, or none within the basin."""
    if (maps < 0).any():
        raise DataError(
            "The painted rain is negative", expected="0 mm or more in every cell", got=f"{maps.min():g} mm",
            remedy="Paint rain only; to take rain away, change the precipitation by a factor below 1",
        )  # fmt: skip
    if not (maps[:, data.mask] > 0).any():
        raise DataError(
            "The painted rain lies outside the basin" if (maps > 0).any() else "No rain is painted",
            expected=f"rain in at least one of the {int(data.mask.sum())} cells of the basin",
            remedy="Paint inside the basin",
        )


def variable_of(card: ModelCard, name: str) -> VariableCard:
    """What the card says of an input or a static map; :class:`ConfigError` where the model does not read it."""
    known = {v.name: v for v in (*card.static, *card.ahead, *card.inputs)}
    if name not in known:
        raise ConfigError(
            f"The model does not read '{name}', so changing it changes nothing",
            expected=", ".join(known),
            remedy="Choose one of its inputs",
        )
    return known[name]


def _rain_input(card: ModelCard, name: str) -> VariableCard:
    if name:
        variable = variable_of(card, name)
        if variable.name in {v.name for v in card.static}:
            raise ConfigError(
                f"'{name}' is a static map; no rain can be added to it", remedy="Choose the precipitation"
            )
        return variable
    rain = [variable for variable in (*card.inputs, *card.ahead) if variable.quantity == PRECIPITATION]
    if not rain:
        raise ConfigError(
            "The model reads no precipitation that a storm could be added to",
            expected="an input of the quantity 'precipitation'",
            got=", ".join(f"{v.name} ({v.quantity})" for v in card.inputs),
            remedy="Name the input that takes the rain",
        )
    return rain[0]


def _period_positions(period: PeriodConfig, times: np.ndarray) -> Optional[np.ndarray]:
    if not (period.start or period.end):
        return None
    found = np.flatnonzero(period_steps(times, period))
    if not len(found):
        raise DataError(
            "The period of a change holds no date of the dataset",
            expected=f"dates from {iso(times[0])} to {iso(times[-1])}",
            got=f"{period.start or 'the begin'} to {period.end or 'the end'}",
            remedy="Choose a period within these dates",
        )
    return found


def _step_of(text: str, times: np.ndarray) -> int:
    """The position of a date; a day alone will do where it holds one step."""
    wanted = np.datetime64(parse_date(text, "The date of the painted rain"), "s")
    hits = np.flatnonzero(times == wanted)
    if not len(hits) and len(text.strip()) <= 10:
        same_day = np.flatnonzero(times.astype("datetime64[D]") == wanted.astype("datetime64[D]"))
        hits = same_day if len(same_day) == 1 else hits
    if not len(hits):
        nearest = times[np.argmin(np.abs((times - wanted).astype(np.int64)))]
        raise DataError(
            "The date of the painted rain is no step of the dataset",
            expected=f"a step from {iso(times[0])} to {iso(times[-1])}",
            got=text,
            remedy=f"Choose one of its steps; the nearest is {iso(nearest)}",
        )
    return int(hits[0])


def _painted(cells: Sequence[tuple[float, float, float]], grid: Grid) -> np.ndarray:
    """(H, W) in mm; strokes over the same cell add up."""
    rain = np.zeros(grid.shape)
    for x, y, amount in cells:
        row, column = grid.cell_at(x, y)
        rain[row, column] += amount
    return rain


def _read_rain(config: StormConfig, grid: Grid) -> tuple[list[str], np.ndarray]:
    import rasterio
    from rasterio.errors import RasterioError

    path = Path(config.raster)
    if not path.is_file():
        raise DataError(f"The raster of painted rain {path} does not exist", remedy="Save the painted rain again")
    try:
        with rasterio.open(path) as source:
            a, b, c, d, e, f = tuple(source.transform)[:6]
            crs = source.crs.to_wkt() if source.crs is not None else grid.crs
            there = None if b or d or a <= 0 or e >= 0 else Grid(crs, c, f, a, -e, source.width, source.height)
            maps = source.read(masked=True, out_dtype="float64").filled(0.0)
    except RasterioError as error:
        raise DataError(
            f"The raster of painted rain {path} cannot be read", got=str(error), remedy="Give a GeoTIFF"
        ) from error
    if there is None or not same_grid(there, grid):
        raise DataError(
            "The raster of painted rain lies on another grid than the dataset",
            expected=f"{grid.rows} x {grid.columns} cells of {grid.cell_x:g} from x {grid.west:.10g}, "
            f"y {grid.north:.10g}",
            got=f"{maps.shape[1]} x {maps.shape[2]} cells of {a:g} from x {c:.10g}, y {f:.10g}",
            remedy="Paint on the dataset's grid, or warp the raster to it",
        )
    maps = np.nan_to_num(maps, nan=0.0, posinf=0.0, neginf=0.0)
    if config.date:
        if len(maps) > 1:
            raise ConfigError(
                "One date is given for a raster of several bands",
                got=f"{len(maps)} bands",
                remedy="Leave the date empty where the bands are dated, or give a raster of one band",
            )
        return [config.date], maps
    return [iso(date) for date in read_series(path).dates], maps


def steps_of(changes: Sequence[Added], count: int) -> np.ndarray:
    """Positions of all steps that changes touch, of ``count``, rising."""
    if any(item.steps is None for item in changes):
        return np.arange(count)
    return np.unique(np.concatenate([item.steps for item in changes]))


def _bounded(values: np.ndarray, variable: VariableCard, mask: np.ndarray, notes: list[str]) -> np.ndarray:
    """Nothing below 0 where the catalogue says so; a note where values leave what the model has seen."""
    label = variable.label or variable.name
    below = values < 0
    if quantity(variable.quantity).minimum == 0.0 and below.any():
        notes.append(f"{label} was changed to below 0 in {int(below[..., mask].sum())} places; 0 was taken there.")
        values = np.where(below, 0.0, values)
    inside = values[..., mask]
    inside = inside[np.isfinite(inside)]
    span = 0.01 * (variable.maximum - variable.minimum)
    if inside.size and variable.maximum > variable.minimum:
        beyond = float(((inside < variable.minimum - span) | (inside > variable.maximum + span)).mean())
        if beyond > 0:
            notes.append(
                f"{label} reaches {inside.min():.4g} to {inside.max():.4g} {variable.units}; in training it was "
                f"{variable.minimum:.4g} to {variable.maximum:.4g} ({100 * beyond:.2g} % of the values lie outside). "
                "There the model guesses."
            )
    return values


def _change_words(
    config: ChangeConfig, variable: VariableCard, cells: int, data: WindowData, steps: Optional[np.ndarray]
) -> str:
    label = variable.label or variable.name
    parts = [f"x {config.factor:g}"] if config.factor != 1.0 else []
    parts += [f"{config.amount:+g} {variable.units}".rstrip()] if config.amount else []
    where = f"in {cells} cells of the basin" if config.polygon else "everywhere"
    when = "at all dates" if steps is None else f"from {iso(data.times[steps[0]])} to {iso(data.times[steps[-1]])}"
    return f"{label} {' '.join(parts)} {where} {when}"


def _mean_inside(rain: np.ndarray, mask: np.ndarray) -> float:
    return float(rain[mask].mean()) if mask.any() else 0.0
