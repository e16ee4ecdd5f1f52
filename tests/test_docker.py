"""The Dockerfile and docs/deploy.md, read: where these tests run there is no Docker engine, and no proxy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from spotscan.cli import _parser
from spotscan.cli_app import SETTINGS

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def instructions():
    """(instruction, its argument) in order; continued lines joined, comments left out."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def given(name):
    return [argument for instruction, argument in instructions() if instruction == name]


def final_stage():
    last = max(i for i, (name, _) in enumerate(instructions()) if name == "FROM")
    return instructions()[last:]


def test_the_base_is_slim_and_of_a_python_that_we_support():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = tuple(map(int, re.findall(r"\d+", project["requires-python"])))
    for base in given("FROM"):
        version = re.match(r"python:(\d+)\.(\d+)-slim( AS \w+)?$", base)
        assert version, base
        assert tuple(map(int, version.groups()[:2])) >= oldest


def test_nobody_is_root_and_nothing_is_fetched_but_by_pip():
    names = [name for name, _ in final_stage()]
    (user,) = given("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)  # numbers, so that Kubernetes can see that it is no root
    assert names.index("USER") < names.index("CMD")
    assert "RUN" not in names  # nothing runs as root in what is shipped
    assert "ADD" not in names
    assert not re.search(r"curl|wget|apt|sudo|https?:", " ".join(given("RUN")))


def test_only_the_extra_of_the_page_is_installed_as_the_documents_say():
    installed = re.findall(r"pip install (?:--[a-z-]+ )*[\"'](\S+)[\"']", " ".join(given("RUN")))
    assert installed == [".[app]"]
    assert re.findall(r"pip install '(\.\[\w+\])'", DEPLOY) == installed


def test_the_page_is_started_with_options_that_exist_and_listens_inside_the_container():
    (command,) = (json.loads(argument) for name, argument in final_stage() if name == "CMD")
    assert command[0] == "spotscan"
    options = _parser().parse_args(command[1:])
    assert command[1] == "app"
    assert options.host == "0.0.0.0"
    assert options.no_browser
    assert given("EXPOSE") == [str(options.port)]
    published = re.findall(r"--publish (\S+)", DEPLOY)
    assert published == [f"127.0.0.1:{options.port}:{options.port}"]  # this machine alone, unless somebody wants more


def test_health_is_asked_without_tools_that_a_slim_image_lacks():
    (check,) = given("HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    assert f"http://localhost:{given('EXPOSE')[0]}/_stcore/health" in command[2]
    assert "timeout=" in command[2]
    assert "/_stcore/health" in DEPLOY


def test_only_what_is_copied_goes_into_the_build_and_the_package_is_whole():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"  # nothing, but for what follows
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = [argument.split()[:-1] for argument in given("COPY") if not argument.startswith("--from")]
    sources = {source for group in copied for source in group}
    assert sources == let_in
    assert all((ROOT / source).exists() for source in sources)
    kept_out = [rule.rpartition("/")[2] for rule in rules if rule.startswith("**/")]
    assert any(fnmatch("x.pyc", pattern) for pattern in kept_out)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    assert needed <= sources


@pytest.mark.skipif(shutil.which("hadolint") is None and not (Path(sys.executable).parent / "hadolint").exists(),
                    reason="no hadolint: pip install 'spotscan[dev]'")  # fmt: skip
def test_hadolint_has_nothing_to_say():
    linter = shutil.which("hadolint") or str(Path(sys.executable).parent / "hadolint")
    done = subprocess.run([linter, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_proxies_of_the_document_pass_what_the_page_needs():
    fence = r"<!-- {} -->\n```\w+\n(.+?)```"
    nginx, caddy = (re.search(fence.format(name), DEPLOY, re.DOTALL)[1] for name in ("nginx", "caddy"))
    for needed in (
        "proxy_set_header Upgrade $http_upgrade", 'proxy_set_header Connection "upgrade"', "proxy_http_version 1.1",
        "proxy_set_header Host $http_host", "auth_basic ", "proxy_request_buffering off",
    ):  # fmt: skip
        assert needed in nginx
    for limit in (re.search(r"client_max_body_size (\d+)m", nginx), re.search(r"max_size (\d+)MB", caddy)):
        assert int(limit[1]) > SETTINGS["server.maxUploadSize"]
    assert "basic_auth" in caddy
    assert nginx.count("{") == nginx.count("}")
    assert caddy.count("{") == caddy.count("}")
