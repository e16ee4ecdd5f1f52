"""YAML that knows its lines and forgives nothing: duplicate keys, aliases and tags are refused."""

from __future__ import annotations

from typing import Any

import yaml

from spotscan.errors import SpotScanError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RulesError(SpotScanError):
    """The rules themselves are wrong: a fault of ours, never of an answer."""


class Lined(dict[str, Any]):
    """A mapping that knows the line it starts on."""

    line = 0


class _Strict(_Loader):  # type: ignore[misc]
    pass


def _mapping(loader: Any, node: Any) -> Lined:
    found = Lined()
    found.line = node.start_mark.line + 1
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise RulesError(f"the key {key!r} is not a word", f"line {line}")
        if key in found:
            raise RulesError(f"the key '{key}' stands twice", f"line {line}")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping)


def load(text: str, name: str) -> Any:
    """Read YAML; mappings are `Lined`.

    Raises
    ------
    RulesError
        Not YAML, a key that stands twice or is no word; with file and line.
    """
    try:
        return yaml.load(text, Loader=_Strict)
    except RulesError as error:
        raise RulesError(error.what, f"{name}, {error.where}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}, line {mark.line + 1}" if mark else name
        raise RulesError(f"not YAML ({getattr(error, 'problem', error)})", where) from error
