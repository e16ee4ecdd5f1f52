"""The command `app`: starts the page on this machine."""

from __future__ import annotations

import argparse
import importlib.util
import os
import runpy
import sys
from importlib.resources import as_file, files
from typing import Any

from spotscan.cli_triage import NUMBER_VARIABLE, add_emergency_number
from spotscan.errors import UsageError

# How the page is served; `.streamlit/config.toml` says the same to `streamlit run app.py` (a test holds them equal).
SETTINGS: dict[str, Any] = {
    "browser.gatherUsageStats": False,  # nothing leaves the machine
    "server.address": "localhost",  # nobody else on the network reaches it
    "server.enableAgentApi": False,
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,  # in Streamlit's words: other origins are kept out
    "server.maxUploadSize": 100,  # MB; a JPEG of 108 megapixels has about 40
    "server.fileWatcherType": "none",
    "server.headless": False,  # opens the browser
    # Garbage is collected where a photo is dropped. After every run, also of those that only ask how far a scan is, all
    # threads would wait for it 0.1 s and more: on a busy machine a scan of 2 s took a minute.
    "runner.postScriptGC": False,
    "client.showErrorDetails": "none",  # never a traceback
    "client.toolbarMode": "minimal",
    "theme.primaryColor": "#1f5fa8",  # white on it, and it on white: 6.4 to 1
    "theme.baseFontSize": 17,  # read by worried people, on phones
    "theme.dark.primaryColor": "#2f74c0",
}


def add_app_command(commands: Any) -> None:
    """Add `app` to the command line's parser."""
    app = commands.add_parser(
        "app",
        help="open the page: photo, questions, result",
        description="Open the page in the browser. Everything happens on this machine.",
    )
    app.add_argument("--host", default="localhost", help="address to listen at; default localhost: this machine only")
    app.add_argument("--port", type=int, default=8501, help="default 8501")
    app.add_argument("--no-browser", action="store_true", help="do not open a browser, as on a server")
    add_emergency_number(app)
    app.set_defaults(run=_app)


def _app(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("streamlit") is None:
        raise UsageError("the page needs Streamlit", "", "install it: pip install 'spotscan[app]'")
    if options.emergency_number:
        os.environ[NUMBER_VARIABLE] = options.emergency_number
    from spotscan.page.private import keep_private  # loads Streamlit

    keep_private()
    own = {"server.address": options.host, "server.port": options.port, "server.headless": options.no_browser}
    with as_file(files("spotscan.page").joinpath("run.py")) as script:
        sys.argv = ["streamlit", "run", str(script), *_flags({**SETTINGS, **own})]
        try:
            runpy.run_module("streamlit", run_name="__main__", alter_sys=True)  # here, so that signals arrive
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def _flags(settings: dict[str, Any]) -> list[str]:
    return [f"--{name}={str(value).lower() if value is not str(value) else value}" for name, value in settings.items()]
