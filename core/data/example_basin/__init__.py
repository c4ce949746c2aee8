"""A basin that Freshet brings along: made by its own code, seeded, with a water balance that closes.

``generate_basin`` makes it as arrays, ``write_basin`` writes the files that a user would have. Its delays and causes
are known, so that predictions and explanations can be held against the truth.
"""

from .basin import ExampleBasin, Gauge, generate_basin, water_balance
from .files import write_basin
from .hydrology import HydrologyParameters

__all__ = ["ExampleBasin", "Gauge", "HydrologyParameters", "generate_basin", "water_balance", "write_basin"]
