"""Hands and eyes for a drive through a real QGIS: clicks and keys on widgets by name, waiting, pictures, story.

A drive is a generator that yields :class:`Until`. Between two polls the event loop of QGIS runs freely, so what is
measured and seen is what a person would have.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from typing import Any, Callable, Iterator, Optional

from qgis.core import Qgis, QgsApplication, QgsProject
from qgis.PyQt.QtCore import QPoint, Qt, QTimer
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QComboBox, QScrollArea, QWidget

POLL_MS = 15
PATIENCE = 3.0  # times the limit of each wait, on a machine that has other work
LEFT = Qt.MouseButton.LeftButton
USER = Qt.ItemDataRole.UserRole


class Failed(Exception):
    """What was expected did not come."""


class Until:
    """A condition to wait for. ``limit_s`` is generous: it ends a drive that hangs, it judges no speed."""

    def __init__(self, condition: Callable[[], Any], what: str, limit_s: float = 60.0) -> None:
        self.condition, self.what, self.limit_s = condition, what, limit_s


Steps = Iterator[Until]


class Hands:
    """Finds, clicks, types, waits, takes pictures, writes the story."""

    def __init__(self, iface: Any, out: str) -> None:
        self.iface, self.out = iface, out
        self.window = iface.mainWindow()
        self.canvas = iface.mapCanvas()
        self.expected_modals: set[str] = set()
        self.faults: list[str] = []
        self.ticker: Any = None
        self._story = open(os.path.join(out, "story.txt"), "w", buffering=1, encoding="utf-8")
        self._begin = time.monotonic()
        self._wait: Optional[Until] = None
        self._since = 0.0
        self._steps: Optional[Steps] = None
        self._after: Callable[[], None] = lambda: None
        self._timer = QTimer()
        self._timer.timeout.connect(self._poll)
        self._guard = QTimer()
        self._guard.timeout.connect(self._watch_modals)
        self._watched: set[int] = set()

    # -- the story

    def say(self, text: str) -> None:
        """One line of the story, with the seconds since the start."""
        self._story.write(f"{time.monotonic() - self._begin:6.1f} s  {text}\n")

    def write(self, line: str) -> None:
        """One bare line."""
        self._story.write(line + "\n")

    def fault(self, text: str) -> None:
        """Something happened that must not."""
        self.faults.append(text)
        self.write(f"failed: {text}")

    def check(self, holds: Any, what: str) -> None:
        """Fail the drive unless ``holds``."""
        if not holds:
            raise Failed(what)

    def shot(self, name: str) -> None:
        """The whole screen as a picture."""
        with self.own_work():
            QApplication.primaryScreen().grabWindow(0).save(os.path.join(self.out, f"{name}.png"))

    def own_work(self) -> Any:
        """A context whose time is not counted as a gap of QGIS."""
        return _OwnWork(self)

    # -- running

    def run(self, steps: Steps, after: Callable[[], None]) -> None:
        """Run the drive; ``after`` is called when it has ended, well or not."""
        sys.excepthook = self._on_uncaught
        QgsApplication.messageLog().messageReceived.connect(self._on_message)
        self._steps, self._after = steps, after
        self._timer.start(POLL_MS)
        self._guard.start(100)

    def _poll(self) -> None:
        try:
            if self._wait is not None:
                if not self._wait.condition():
                    limit_s = PATIENCE * self._wait.limit_s
                    if time.monotonic() - self._since > limit_s:
                        raise Failed(f"waited {limit_s:g} s in vain for: {self._wait.what}")
                    return
            if self.faults:
                raise Failed("a fault was seen, see above")
            self._wait, self._since = None, time.monotonic()
            self._timer.stop()  # a step that opens a nested event loop must not be entered twice
            self._wait = next(self._steps)
            self._since = time.monotonic()
            self._timer.start(POLL_MS)
        except StopIteration:
            self._end()
        except Exception as error:  # noqa: BLE001 (the border of the drive: it is told, and QGIS is closed)
            self.write(traceback.format_exc().rstrip())
            self.fault(str(error) or repr(error))
            self.shot("failed")
            self._end()

    def _end(self) -> None:
        self._timer.stop()
        self._after()

    def _on_uncaught(self, kind: type, error: BaseException, trace: Any) -> None:
        self.write("".join(traceback.format_exception(kind, error, trace)).rstrip())
        self.fault(f"uncaught {kind.__name__}: {error}")

    def _on_message(self, text: str, tag: str, level: Any) -> None:
        if tag in ("Freshet", "Plugins", "Python", "Python error") and level in (
            Qgis.MessageLevel.Warning,
            Qgis.MessageLevel.Critical,
        ):
            self.fault(f"message log, {tag}: {text}")

    def _watch_modals(self) -> None:
        modal = QApplication.activeModalWidget()
        if modal is None or modal.objectName() in self.expected_modals or id(modal) in self._watched:
            return
        self._watched.add(id(modal))
        words = getattr(modal, "text", lambda: "")()
        self.shot("unexpected_dialog")
        self.fault(f"a dialog that nobody expected: {modal.objectName()} {modal.windowTitle()} {words}")
        modal.close()

    # -- finding

    def find(self, name: str) -> QWidget:
        """The one living widget of this object name."""
        found = self.window.findChildren(QWidget, name)
        shown = [widget for widget in found if widget.isVisible()]
        self.check(found, f"there is no widget {name}")
        return (shown or found)[0]

    def there(self, name: str) -> bool:
        """Whether a widget of this name can be seen."""
        return any(widget.isVisible() for widget in self.window.findChildren(QWidget, name))

    def reach(self, widget: QWidget) -> QPoint:
        """Scroll to a widget; its middle, which must be in sight and enabled."""
        parent = widget.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(widget)
            parent = parent.parentWidget()
        name = widget.objectName()
        self.check(widget.isVisible(), f"{name} is hidden")
        self.check(widget.isEnabled(), f"{name} is disabled")
        middle = widget.rect().center()
        inner = widget.viewport() if hasattr(widget, "viewport") else widget  # what lies on a widget covers it
        seen = inner.visibleRegion().contains(inner.rect().center())
        self.check(seen, f"{name} cannot be reached: its middle is cut off")
        return middle

    # -- doing

    def click(self, name: str) -> Steps:
        """Click a widget as a person does."""
        yield Until(lambda: self.find(name).isVisible() and self.find(name).isEnabled(), f"{name} to click on", 30)
        widget = self.find(name)
        yield from self.sight(widget)
        QTest.mouseClick(widget, LEFT, pos=self._spot(widget))
        yield from self.settle()

    def sight(self, widget: QWidget) -> Steps:
        """Wait for a widget that has just come to the front: it is laid out with the next events."""
        end = time.monotonic() + 10
        yield Until(lambda: self._in_sight(widget) or time.monotonic() > end, "a widget in sight", 20)
        self.reach(widget)  # says what is wrong with it

    def _in_sight(self, widget: QWidget) -> bool:
        try:
            self.reach(widget)
        except Failed:
            return False
        return True

    def _spot(self, widget: QWidget) -> QPoint:
        middle = self.reach(widget)
        # Only the box and its words react to a click, not the empty space beside them.
        return QPoint(9, middle.y()) if widget.inherits("QCheckBox") or widget.inherits("QRadioButton") else middle

    def type(self, name: str, text: str) -> Steps:
        """Replace the text of a field, key by key."""
        yield from self.click(name)
        field = self.find(name)
        QTest.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClick(field, Qt.Key.Key_Delete)
        QTest.keyClicks(field, text)
        QTest.keyClick(field, Qt.Key.Key_Tab)
        self.check(field.text() == text, f"{name} holds '{field.text()}' after '{text}' was typed")
        yield from self.settle()

    def choose(self, combo: QComboBox, data: Any) -> Steps:
        """Open a combo box, click the entry with ``data`` (or that text)."""
        index = combo.findData(data)
        index = index if index >= 0 else combo.findText(str(data))
        self.check(index >= 0, f"{combo.objectName()} has no entry {data}")
        for attempt in range(4):
            if combo.currentIndex() == index:
                return
            yield from self.sight(combo)
            QTest.mouseClick(combo, LEFT, pos=self.reach(combo))
            view = combo.view()
            yield Until(view.isVisible, f"the list of {combo.objectName()}", 10)
            # Qt takes a release right after the press that opened the list for the end of that press.
            yield from self.rest(QApplication.doubleClickInterval() + 100)
            item = combo.model().index(index, combo.modelColumn())
            view.scrollTo(item)
            place = view.visualRect(item).intersected(view.viewport().rect()).center()
            QTest.mouseMove(view.viewport(), place)
            yield from self.settle()
            if attempt < 2:
                QTest.mouseClick(view.viewport(), LEFT, pos=place)
            else:  # the keyboard does it too
                view.setCurrentIndex(item)
                QTest.keyClick(view, Qt.Key.Key_Return)
            yield from self.settle()
            if view.isVisible():
                self.say(f"(the list of {combo.objectName()} stayed open, attempt {attempt + 1})")
                combo.hidePopup()
        self.check(combo.currentIndex() == index, f"{combo.objectName()} did not take {data}")

    def tick(self, name: str, keys: tuple) -> Steps:
        """Tick exactly ``keys`` in a list, by clicks on the boxes."""
        box = self.find(name)
        yield from self.sight(box)
        for i in range(box.count()):
            item = box.item(i)
            wanted = item.data(USER) in keys
            if (item.checkState() == Qt.CheckState.Checked) != wanted:
                box.scrollToItem(item)
                area = box.visualItemRect(item)
                QTest.mouseClick(box.viewport(), LEFT, pos=QPoint(area.left() + 10, area.center().y()))
                yield from self.settle()
        ticked = {
            box.item(i).data(USER) for i in range(box.count()) if box.item(i).checkState() == Qt.CheckState.Checked
        }
        self.check(ticked == set(keys), f"{name} has ticks at {sorted(ticked)}, not at {sorted(keys)}")

    def tab(self, title: str) -> Steps:
        """Click a page's tab in the dock."""
        bar = self.find("freshetPages").tabBar()
        index = [bar.tabText(i) for i in range(bar.count())].index(title)
        QTest.mouseClick(bar, LEFT, pos=bar.tabRect(index).center())
        yield Until(lambda: bar.currentIndex() == index, f"page {title}", 10)
        yield from self.settle()

    def click_map(self, point: Any) -> Steps:
        """Click the canvas at a point of the map's CRS."""
        place = self.canvas.getCoordinateTransform().transform(point).toQPointF().toPoint()
        self.check(self.canvas.viewport().rect().contains(place), "the point lies outside the map")
        QTest.mouseMove(self.canvas.viewport(), place)
        QTest.mouseClick(self.canvas.viewport(), LEFT, pos=place)
        yield from self.settle()

    def settle(self) -> Steps:
        """Let the events that are due be handled: three turns of the loop."""
        for _ in range(3):
            yield Until(lambda: True, "events")

    def rest(self, milliseconds: int) -> Steps:
        """Wait as a hand does between two clicks; nothing is judged by it."""
        end = time.monotonic() + milliseconds / 1000.0
        yield Until(lambda: time.monotonic() >= end, "a moment")

    def rendered(self) -> Steps:
        """Wait until the map is drawn; charts have their pause of drawing too."""
        yield from self.rest(350)
        yield Until(lambda: not self.canvas.isDrawing(), "the map to be drawn", 60)
        yield from self.settle()

    def leave(self) -> None:
        """Close QGIS as a person does."""
        QgsProject.instance().setDirty(False)
        self.iface.actionExit().trigger()


class _OwnWork:
    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def __enter__(self) -> None:
        if self._hands.ticker is not None:
            self._hands.ticker.pause()

    def __exit__(self, *_: Any) -> None:
        if self._hands.ticker is not None:
            self._hands.ticker.go_on()
