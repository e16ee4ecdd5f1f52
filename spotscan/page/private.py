"""Habits of Streamlit's server that have no place where people show their skin."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from functools import cache

from starlette.formparsers import MultiPartParser
from streamlit import config, net_util
from streamlit.runtime import get_instance
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.session_manager import SessionInfo

_IN_MEMORY_BYTES = 1 << 30  # more than any upload may have
_save = MemorySessionStorage.save


@cache
def keep_private() -> None:
    """Ask nobody outside for this machine's address, write no upload to the disk, and forget a visit that is over.

    The address would only be shown at the start, and let in pages that are served from it. Starlette writes what is
    larger than 1 MB to a temporary file on its way into memory. Streamlit keeps a visit whose page was closed for two
    minutes, in case the connection only broke, but then drops it when somebody else comes or goes: perhaps never.
    """
    net_util.get_external_ip = _unknown
    MultiPartParser.spool_max_size = _IN_MEMORY_BYTES
    setattr(MemorySessionStorage, "save", _save_for_a_while)  # noqa: B010


def _unknown() -> None:
    return None


def _save_for_a_while(storage: MemorySessionStorage, visit: SessionInfo) -> None:
    _save(storage, visit)
    seconds = float(config.get_option("server.disconnectedSessionTTL"))
    asyncio.get_running_loop().call_later(seconds + 1, _forget, storage, visit.session)


def _forget(storage: MemorySessionStorage, session: AppSession) -> None:
    if storage.get(session.id) is not None or get_instance().is_active_session(session.id):
        return  # the connection came back
    with suppress(KeyError):
        storage.delete(session.id)
    session.shutdown()
    state = session.session_state
    if "visit" in state:
        state["visit"].drop_photo()  # something of Streamlit's may hold the visit longer
    state.clear()
    gc.collect()
