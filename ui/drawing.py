"""Charts are drawn beside the main thread: a drawing of matplotlib takes 50 to 200 ms, and QGIS must not wait for it.

One thread draws all charts, one after the other, since matplotlib's caches of fonts and texts are shared.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Optional

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtGui import QImage, QPainter
from qgis.PyQt.QtWidgets import QWidget

_BASE_DPI = 100.0
_TURN_SECONDS = 0.0003
_one_at_a_time = threading.RLock()
_pool: Optional[ThreadPoolExecutor] = None


class Picture(QWidget):
    """Shows the last picture of a chart; while a new one of another size is being drawn, the old one stays."""

    def __init__(self, name: str, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setMinimumWidth(120)
        self.image: Optional[QImage] = None

    def show_image(self, image: QImage) -> None:
        """Show another picture."""
        self.image = image
        self.update()

    def paintEvent(self, _event: Any) -> None:  # noqa: N802 (Qt's name)
        """The picture at its own size: stretched words are hard to read."""
        if self.image is not None:
            painter = QPainter(self)
            painter.drawImage(0, 0, self.image)
            painter.end()


class Drawer(QObject):
    """Draws by ``paint(figure, data)`` in the background; ``drawn(figure, image)`` comes on the main thread."""

    drawn = pyqtSignal(object, object)
    _broken = pyqtSignal(object)

    def __init__(self, paint: Callable[[Any, Any], None], parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._paint = paint
        self._busy = False
        self._next: Optional[tuple] = None
        self.drawn.connect(self._go_on)
        self._broken.connect(self._tell)

    def draw(self, data: Any, width: int, height: int, ratio: float) -> None:
        """Draw soon; of several wishes during a drawing, the last one counts."""
        wish = (_frozen(data), max(1, width), max(1, height), ratio)
        if self._busy:
            self._next = wish
            return
        self._busy = True
        _executor().submit(picture, self._paint, *wish).add_done_callback(self._hand_over)

    def draw_now(self, data: Any, width: int, height: int, ratio: float) -> None:
        """Draw at once, in this thread."""
        self.drawn.emit(*picture(self._paint, data, max(1, width), max(1, height), ratio))

    def _hand_over(self, future: Future) -> None:
        """In the thread that draws: only signals go over to the main thread."""
        error = None if future.cancelled() else future.exception()
        try:
            if error is not None:
                self._broken.emit(error)
            elif not future.cancelled():
                self.drawn.emit(*future.result())
        except RuntimeError:  # the chart was deleted meanwhile
            return

    def _tell(self, error: BaseException) -> None:
        self._go_on()
        raise error

    def _go_on(self, *_: Any) -> None:
        wish, self._next, self._busy = self._next, None, False
        if wish is not None:
            self.draw(*wish)


@contextlib.contextmanager
def _short_turns() -> Iterator[None]:
    """Let the main thread have the interpreter sooner while a chart is drawn.

    Each call of Qt gives the interpreter away and waits for it again, by default up to 5 ms; twenty calls of one event
    were a standstill of 100 ms and more.
    """
    before, collecting = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(min(before, _TURN_SECONDS))
    gc.disable()  # a round of the collector cannot be interrupted; it follows when the chart is there
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        if collecting:
            gc.enable()


def picture(paint: Callable[[Any, Any], None], data: Any, width: int, height: int, ratio: float) -> tuple[Any, QImage]:
    """The figure and its picture; ``width`` and ``height`` are in Qt's pixels, of which each has ``ratio`` of the
    screen's.
    """
    with _one_at_a_time, _short_turns():
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure = _figure((width / _BASE_DPI, height / _BASE_DPI), _BASE_DPI * ratio)
        canvas = FigureCanvasAgg(figure)
        paint(figure, data)
        canvas.draw()
        columns, rows = canvas.get_width_height()
        image = QImage(bytes(canvas.buffer_rgba()), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()
    image.setDevicePixelRatio(ratio)
    return figure, image


def can_draw() -> bool:
    """Whether the Python of QGIS has matplotlib; it is not loaded for that."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def warm_up() -> None:
    """Load matplotlib in the background, so that the first chart does not wait for it."""
    if can_draw():
        _executor().submit(_load)


def _load() -> None:
    """Load matplotlib and its font, then take what is in memory by now out of the collector's rounds.

    A figure is some ten thousand objects, so drawing makes Python's collector look through all objects of QGIS and its
    plugins again and again: 200 ms each time, in which QGIS stands still. What is frozen is still freed by its count.
    """
    import matplotlib.backends.backend_agg  # noqa: F401 (its loading is the purpose)
    import matplotlib.dates  # noqa: F401
    import matplotlib.figure  # noqa: F401

    picture(lambda figure, _: figure.add_subplot().set_title("0"), None, 100, 100, 1.0)
    gc.collect()
    gc.freeze()


def _figure(size: tuple[float, float], dpi: float) -> Any:
    import matplotlib
    from matplotlib.figure import Figure

    new = tuple(int(part) for part in matplotlib.__version__.split(".")[:2]) >= (3, 5)
    return Figure(size, dpi, **({"layout": "constrained"} if new else {"constrained_layout": True}))


def _frozen(data: Any) -> Any:
    """``data`` with lists of its own: what the page goes on to fill must not change during a drawing."""
    if not dataclasses.is_dataclass(data):
        return data
    lists = {f.name: list(v) for f in dataclasses.fields(data) if isinstance(v := getattr(data, f.name), list)}
    frozen = copy.copy(data)
    for name, values in lists.items():
        object.__setattr__(frozen, name, values)
    return frozen


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="freshet-charts")
    return _pool
