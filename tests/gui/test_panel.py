"""The panel alone emits signals and edits nothing."""

from unittest.mock import Mock

import pytest

pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.PydanticDeprecatedSince20",
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
)


@pytest.fixture
def panel(display):
    """A panel without a session."""
    from qtpy.QtWidgets import QApplication

    from wsipipe.review.gui.panel import Panel

    application = QApplication.instance() or QApplication([])
    yield Panel(Mock())
    application.processEvents()


def emitted(signal):
    """List that collects what a signal emits."""
    found = []
    signal.connect(lambda *values: found.append(values))
    return found


def test_buttons_emit_their_names(panel) -> None:
    from wsipipe.review.gui.panel import EDITS
    from wsipipe.review.gui.tools import TOOLS

    edits, tools = emitted(panel.edit_requested), emitted(panel.tool_requested)
    steps, folders = emitted(panel.step_requested), emitted(panel.folder_requested)
    for button in panel.buttons.values():
        button.click()
    assert edits == [(name,) for name in EDITS]
    assert tools == [(name,) for name in TOOLS]
    assert steps == [(-1,), (1,)]
    assert folders == [()]


def test_keys_click_the_buttons(panel) -> None:
    edits = emitted(panel.edit_requested)
    keys = {call.args[0]: call.args[1] for call in panel.viewer.bind_key.call_args_list}
    keys["R"](panel.viewer)
    assert edits == [("reject",)]


def test_errors_of_a_slot_are_shown(panel) -> None:
    from wsipipe.errors import ConfigError

    panel.connect_slot(panel.edit_requested, Mock(side_effect=ConfigError("not possible")))
    panel.buttons["merge"].click()
    assert panel.message.text() == "not possible"


def test_new_classes_keep_the_chosen_one(panel) -> None:
    panel.show_classes(("stroma", "gland"))
    panel.class_box.setCurrentText("gland")
    panel.show_classes(("stroma", "gland", "mitosis"))
    assert panel.class_box.currentText() == "gland"
    assert panel.class_box.count() == 3
