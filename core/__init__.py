"""The engine of Freshet: no Qt, no QGIS. QGIS itself imports only :mod:`core.contracts`."""
