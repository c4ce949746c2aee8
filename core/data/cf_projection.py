"""CF grid mappings of projected CRS (CF conventions 1.8, appendix F), for readers that do not know WKT."""

from __future__ import annotations

from typing import Any

_EASTING = {"False easting": "false_easting", "False northing": "false_northing"}
_AT_FALSE_ORIGIN = {
    "Latitude of false origin": "latitude_of_projection_origin",
    "Longitude of false origin": "longitude_of_central_meridian",
    "Latitude of 1st standard parallel": "standard_parallel",
    "Latitude of 2nd standard parallel": "standard_parallel",
    "Easting at false origin": "false_easting",
    "Northing at false origin": "false_northing",
}
_ORIGIN = {
    "Latitude of natural origin": "latitude_of_projection_origin",
    "Longitude of natural origin": "longitude_of_projection_origin",
    **_EASTING,
}
_METHODS: dict[str, tuple[str, dict[str, str]]] = {
    "Transverse Mercator": (
        "transverse_mercator",
        {
            "Latitude of natural origin": "latitude_of_projection_origin",
            "Longitude of natural origin": "longitude_of_central_meridian",
            "Scale factor at natural origin": "scale_factor_at_central_meridian",
            **_EASTING,
        },
    ),
    "Lambert Azimuthal Equal Area": ("lambert_azimuthal_equal_area", _ORIGIN),
    "Lambert Conic Conformal (2SP)": ("lambert_conformal_conic", _AT_FALSE_ORIGIN),
    "Albers Equal Area": ("albers_conical_equal_area", _AT_FALSE_ORIGIN),
    "Mercator (variant A)": (
        "mercator",
        {**_ORIGIN, "Scale factor at natural origin": "scale_factor_at_projection_origin"},
    ),
    "Mercator (variant B)": ("mercator", {**_ORIGIN, "Latitude of 1st standard parallel": "standard_parallel"}),
    "Oblique Stereographic": (
        "stereographic",
        {**_ORIGIN, "Scale factor at natural origin": "scale_factor_at_projection_origin"},
    ),
    "Polar Stereographic (variant A)": (
        "polar_stereographic",
        {
            "Latitude of natural origin": "latitude_of_projection_origin",
            "Longitude of natural origin": "straight_vertical_longitude_from_pole",
            "Scale factor at natural origin": "scale_factor_at_projection_origin",
            **_EASTING,
        },
    ),
    "Polar Stereographic (variant B)": (
        "polar_stereographic",
        {
            "Latitude of standard parallel": "standard_parallel",
            "Longitude of origin": "straight_vertical_longitude_from_pole",
            **_EASTING,
        },
    ),
}


def grid_mapping(crs: Any) -> dict[str, Any]:
    """Attributes of the grid mapping of a rasterio CRS; empty where CF has no name for its projection.

    Angles are degrees, lengths metres; a projection that is defined in other units has no CF mapping here.
    """
    described = crs.to_dict(projjson=True)
    if described.get("type") == "BoundCRS":
        described = described["source_crs"]
    ellipsoid = _ellipsoid(described.get("base_crs", described))
    if described.get("type") == "GeographicCRS":
        return {"grid_mapping_name": "latitude_longitude", **ellipsoid}
    conversion = described.get("conversion", {})
    name, known = _METHODS.get(conversion.get("method", {}).get("name", ""), ("", {}))
    values: dict[str, Any] = {}
    for parameter in conversion.get("parameters", ()):
        attribute = known.get(parameter["name"])
        plain = parameter["value"] == 0 or parameter.get("unit", "unity") in ("degree", "metre", "unity")
        if attribute is None or not plain:
            return {}
        if attribute in values:
            values[attribute] = [values[attribute], parameter["value"]]
        else:
            values[attribute] = parameter["value"]
    if not name or not values:
        return {}
    if name == "polar_stereographic" and "standard_parallel" in values:
        values["latitude_of_projection_origin"] = 90.0 if values["standard_parallel"] > 0 else -90.0
    if name == "mercator":
        values.pop("latitude_of_projection_origin", None)
    return {"grid_mapping_name": name, **values, **ellipsoid}


def _ellipsoid(described: dict[str, Any]) -> dict[str, Any]:
    datum = described.get("datum") or described.get("datum_ensemble") or {}
    shape = datum.get("ellipsoid", {})
    names = {
        "semi_major_axis": "semi_major_axis",
        "semi_minor_axis": "semi_minor_axis",
        "inverse_flattening": "inverse_flattening",
        "radius": "earth_radius",
    }
    found = {names[key]: value for key, value in shape.items() if key in names and isinstance(value, (int, float))}
    meridian = datum.get("prime_meridian", {}).get("longitude", 0.0)
    return {**found, "longitude_of_prime_meridian": meridian} if isinstance(meridian, (int, float)) else found
