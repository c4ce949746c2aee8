"""File names of the members of a virtual raster."""

from __future__ import annotations

from freshet.core.contracts.vrt import vrt_members

TEXT = """<VRTDataset rasterXSize="3" rasterYSize="2">
  <VRTRasterBand dataType="Float32" band="1"/>
  <VRTRasterBand dataType="Float32" band="3"><ComplexSource>
    <SourceFilename relativeToVRT="1">rain &amp; snow_1995-02-01.tif</SourceFilename></ComplexSource></VRTRasterBand>
  <VRTRasterBand dataType="Float32" band="2"><SimpleSource>
    <SourceFilename relativeToVRT="1">a.tif</SourceFilename></SimpleSource><SimpleSource>
    <SourceFilename relativeToVRT="1">b.tif</SourceFilename></SimpleSource></VRTRasterBand>
</VRTDataset>"""


def test_each_band_has_the_name_of_its_first_source():
    assert vrt_members(TEXT) == {1: "", 3: "rain & snow_1995-02-01.tif", 2: "a.tif"}


def test_a_text_without_bands_has_no_members():
    assert vrt_members("<VRTDataset/>") == {}
