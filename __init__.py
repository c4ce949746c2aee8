"""Freshet: hydrological deep learning in QGIS. Hydrology as video."""


def classFactory(iface):  # noqa: N802 (the name that QGIS calls)
    """Called by QGIS when the plugin is loaded; ``iface`` is a ``QgisInterface``."""
    from .ui.gui import FreshetGui

    return FreshetGui(iface)
