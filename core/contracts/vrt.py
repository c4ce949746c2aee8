"""What GDAL's virtual rasters say, taken from their text."""

from __future__ import annotations

import html
import re

_NUMBER = re.compile(r'\bband="(\d+)"')
_MEMBER = re.compile(r"<SourceFilename[^>]*>([^<]*)<")


def vrt_members(text: str) -> dict[int, str]:
    """File name of the first source of each band, by the band's number; empty where a band has none.

    ``text`` is the XML as GDAL writes it. It is not parsed as XML: files of strangers would need a hardened parser.
    """
    members = {}
    for number, part in enumerate(text.split("<VRTRasterBand")[1:], 1):
        told, member = _NUMBER.search(part.split(">", 1)[0]), _MEMBER.search(part)
        members[int(told.group(1)) if told else number] = html.unescape(member.group(1)) if member else ""
    return members
