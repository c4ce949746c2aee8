"""A map of classes as a GeoTIFF that shows itself: a colour table inside, names beside it where GDAL looks for them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from ..contracts.errors import RunError
from ..contracts.files import whole_file, write_text
from ..contracts.grid import Grid
from ..inference.geotiff import check_space


def write_classes(
    path: Path, values: np.ndarray, grid: Grid, names: Sequence[str], colours: Sequence[str], label: str
) -> None:
    """Write ``values`` (H, W): 1, 2, 3 ... for ``names`` in their order, 0 where there is none. ``colours`` are texts
    such as #2c7fb8. Names also lie in the band's tags CLASS_1, CLASS_2 ... and in ``NAME.tif.aux.xml``.

    Raises :class:`RunError` where the disc is full or cannot be written.
    """
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.transform import Affine

    check_space(path, values.size)
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "width": grid.columns, "height": grid.rows, "crs": grid.crs,
        "transform": Affine(*grid.transform), "nodata": 0, "compress": "deflate",
    }  # fmt: skip
    table = {0: (0, 0, 0, 0), **{number: _rgba(colour) for number, colour in enumerate(colours, start=1)}}
    try:
        with whole_file(path) as temporary, rasterio.open(temporary, "w", **profile) as file:
            file.write(values.astype(np.uint8), 1)
            file.write_colormap(1, table)
            file.update_tags(label=label, units="-")
            file.update_tags(1, **{f"CLASS_{number}": name for number, name in enumerate(names, start=1)})
            file.set_band_description(1, label)
    except (OSError, RasterioError) as error:
        raise RunError(
            f"The raster {path.name} could not be written", got=str(error), remedy="Choose another folder for the runs"
        ) from error
    entries = "".join(f"<Category>{escape(name)}</Category>" for name in ("", *names))
    body = f'<PAMRasterBand band="1"><CategoryNames>{entries}</CategoryNames></PAMRasterBand>'
    write_text(path.with_name(path.name + ".aux.xml"), f"<PAMDataset>{body}</PAMDataset>\n")


def _rgba(colour: str) -> tuple[int, int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16), 255
