"""The Streamlit page: a photo, the warning signs, the picture with its spots, the questions, the result.

It calls the library and works nothing out itself. Streamlit is imported here and nowhere else in the package.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spotscan.page.visit import Visit


def main() -> None:
    """Draw the page once; Streamlit calls it again after everything that the person does."""
    import streamlit as st

    from spotscan.page.parts import close_page, open_page, watch
    from spotscan.page.private import keep_private
    from spotscan.page.visit import visit, warm_up
    from spotscan.page.words import say

    keep_private()
    here = visit()
    here.look()
    open_page(here)
    try:
        _step(here.step)(here)
    except Exception:  # a fault of ours is told in words, and the way to help stays open
        logging.getLogger(__name__).exception("the page failed at the step %s", here.step)
        st.error(say("page.fault"))
        st.button(say("page.fault_on"), on_click=here.go, args=("signs",), key="fault")
    close_page(here)
    watch(here)
    warm_up()


def _step(name: str) -> Callable[[Visit], None]:
    """What draws a step; only that one is imported, so that the first page is there soon."""
    place, function = {
        "begin": ("begin", "begin"),
        "signs": ("questions", "signs"),
        "picture": ("picture", "picture"),
        "questions": ("questions", "one_by_one"),
        "result": ("result", "result"),
    }[name]
    found: Callable[[Visit], None] = getattr(import_module(f"spotscan.page.{place}"), function)
    return found
