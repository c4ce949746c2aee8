"""The variable catalogue: what Freshet knows of each quantity before it has seen a value.

Units inside a dataset, how to aggregate and resample, the plausible range, the default scaler and the colour ramp.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ConfigError

KINDS = ("flux", "state", "static", "class")
RESAMPLINGS = ("nearest", "bilinear", "cubic", "average", "mode", "conservative")
AGGREGATIONS = ("mean", "sum", "minimum", "maximum", "first")
SCALERS = ("standard", "min-max", "yeo-johnson", "log1p", "none", "one-hot")


@dataclass(frozen=True)
class Quantity:
    """One quantity. ``minimum`` and ``maximum`` bound what is plausible in ``units``; ``aggregation`` is over time.

    A flux is a rate (mm/d): over a longer step its rate is the mean of the rates, so the amount (rate x step) is
    summed.
    """

    name: str
    label: str
    abbreviation: str
    standard_name: str
    units: str
    kind: str
    minimum: float
    maximum: float
    aggregation: str
    resampling: str
    scaler: str
    ramp: str
    words: tuple[str, ...] = ()


def _flux(name, label, short, cf, words, maximum=500.0, scaler="standard", ramp="YlGnBu", minimum=0.0):
    return Quantity(
        name, label, short, cf, "mm/d", "flux", minimum, maximum, "mean", "conservative", scaler, ramp, words
    )


def _state(name, label, short, cf, units, minimum, maximum, words, ramp="YlGnBu", scaler="standard"):
    return Quantity(name, label, short, cf, units, "state", minimum, maximum, "mean", "bilinear", scaler, ramp, words)


def _static(name, label, short, cf, units, minimum, maximum, words, ramp="Viridis", scaler="standard"):
    return Quantity(name, label, short, cf, units, "static", minimum, maximum, "first", "average", scaler, ramp, words)


def _class(name, label, words):
    return Quantity(name, label, name, "", "-", "class", -1e9, 1e9, "first", "mode", "one-hot", "Spectral", words)


CATALOGUE: tuple[Quantity, ...] = (
    _flux("precipitation", "Precipitation", "P", "lwe_precipitation_rate",
          ("precipitation", "precip", "rain", "rainfall", "pre", "prec", "tp", "pr", "p"), maximum=2000.0, scaler="log1p"),
    _flux("pet", "Potential evapotranspiration", "PET", "water_potential_evaporation_flux",
          ("pet", "potential", "etp", "epot"), maximum=30.0, ramp="YlOrRd"),
    _flux("evapotranspiration", "Evapotranspiration", "ET", "water_evapotranspiration_flux",
          ("evapotranspiration", "aet", "et", "evaporation"), maximum=30.0, minimum=-5.0),
    _flux("runoff", "Runoff", "R", "runoff_flux", ("runoff", "streaminput"), maximum=2000.0, scaler="log1p"),
    _flux("inwater", "Water entering the river", "IW", "", ("inwater", "iw"), maximum=5000.0, scaler="log1p"),
    _flux("recharge", "Groundwater recharge", "RCH", "", ("recharge", "rch"), maximum=500.0, minimum=-50.0),
    _state("temperature", "Air temperature", "T", "air_temperature", "degC", -90.0, 60.0,
           ("temperature", "temp", "tavg", "tair", "t2m", "tas", "tmean", "tmin", "tmax"), ramp="RdYlBu_r"),
    _state("soil_moisture", "Soil moisture", "SM", "", "-", 0.0, 1.2,
           ("soil_moisture", "soilmoisture", "sm", "swvl", "ssm", "vwc")),
    _state("soil_water", "Soil water", "SW", "mass_content_of_water_in_soil", "mm", 0.0, 5000.0, ("soil_water", "soilwater")),
    _state("snow", "Snow water equivalent", "SWE", "lwe_thickness_of_surface_snow_amount", "mm", 0.0, 20000.0,
           ("snow", "swe", "snowpack"), ramp="Blues", scaler="log1p"),
    _state("groundwater_storage", "Groundwater storage", "GWS", "", "mm", -1e5, 1e5, ("groundwater", "gw", "gws", "gw_storage")),
    _state("groundwater_head", "Groundwater head", "h", "", "m", -1e4, 1e4, ("head", "heads")),
    _state("water_depth", "Water depth", "d", "", "m", 0.0, 1000.0, ("water_depth", "depth", "wd")),
    _state("discharge", "Discharge", "Q", "water_volume_transport_in_river_channel", "m3/s", 0.0, 4e5,
           ("discharge", "q", "q_obs", "q_routed", "streamflow", "flow"), scaler="log1p"),
    _state("radiation", "Radiation", "RAD", "", "W/m2", -100.0, 1500.0, ("radiation", "swdown", "lwdown", "rad"), ramp="Magma"),
    _state("humidity", "Specific humidity", "q", "specific_humidity", "g/kg", 0.0, 60.0, ("humidity", "qair")),
    _state("wind", "Wind speed", "WS", "wind_speed", "m/s", 0.0, 120.0, ("wind", "ws"), ramp="Viridis"),
    _static("elevation", "Elevation", "z", "surface_altitude", "m", -500.0, 9000.0, ("elevation", "dem", "altitude", "elev", "srtm", "top")),
    _static("slope", "Slope", "slope", "", "deg", 0.0, 90.0, ("slope",)),
    _static("upstream_area", "Upstream area", "A", "", "km2", 0.0, 1e8, ("upstream", "upstream_area", "flowacc", "upa"), scaler="log1p"),
    _static("property", "Map of a property", "prop", "", "-", -1e12, 1e12, ("clay", "sand", "silt", "ndvi", "capa", "lai", "hk")),
    _class("land_cover", "Land cover", ("landcover", "landuse", "lulc", "land")),
    _class("soil_class", "Soil class", ("soil", "soil_class")),
    _class("class_map", "Map of classes", ("class", "ldd", "river", "streamorder", "subcatch", "geology", "geology_class")),
    Quantity("other", "Another quantity", "x", "", "-", "state", -1e30, 1e30, "mean", "bilinear", "standard", "Viridis", ()),
)  # fmt: skip

_BY_NAME = {quantity.name: quantity for quantity in CATALOGUE}


def quantity(name: str) -> Quantity:
    """The catalogue's entry called ``name``; an unknown one raises :class:`ConfigError` that lists those there are."""
    if name not in _BY_NAME:
        raise ConfigError(
            f"The variable catalogue has no quantity '{name}'",
            expected=", ".join(_BY_NAME),
            remedy="Choose one of these; 'other' fits what none of them names",
        )
    return _BY_NAME[name]


def quantity_names() -> tuple[str, ...]:
    """All names of the catalogue, in its order."""
    return tuple(_BY_NAME)


def guess_quantity(text: str) -> Quantity:
    """The quantity that a file, layer or variable name speaks of, else ``other``. A guess: always shown, never silent.

    Whole words count ("sm_l1" holds the word "sm"); of several hits the longest word wins, then the earlier entry.
    """
    words = _words(text)
    best, best_length = _BY_NAME["other"], 0
    for entry in CATALOGUE:
        for word in entry.words:
            hit = word in words or ("_" in word and word in text.lower())
            if hit and len(word) > best_length:
                best, best_length = entry, len(word)
    return best


def _words(text: str) -> set[str]:
    cleaned = "".join(char if char.isalnum() else " " for char in text.lower())
    parts = set(cleaned.split())
    return parts | {part.rstrip("0123456789") for part in parts}
