"""The environment over the configuration file.

`ORCHESTRATOR__LEDGER__URL=…` is `[ledger] url`; members of a list are numbered from 0:
`ORCHESTRATOR__PBX__0__PASSWORD=…`.
"""

import tomllib
import types
from collections.abc import Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

from orchestrator.validate import Fault, Invalid

ENV_PREFIX: Final = "ORCHESTRATOR__"


def override(data: dict[str, Any], schema: type[msgspec.Struct], environ: Mapping[str, str]) -> None:
    """Put what `environ` says over `data`, the configuration as TOML gave it. `schema` tells which values
    are text; what is not known to it is put in as well, for the check of the whole to name it.

    Raises `Invalid` for a variable that leads nowhere.
    """
    for variable in sorted(environ, key=_numbered):
        if variable.startswith(ENV_PREFIX):
            keys = [key.lower() for key in variable.removeprefix(ENV_PREFIX).split("__")]
            _set(data, schema, keys, environ[variable], variable)


def _numbered(variable: str) -> list[tuple[int, str]]:
    """Sorts members of a list by their number: 2 before 10."""
    return [(int(key), "") if _is_number(key) else (-1, key) for key in variable.split("__")]


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < 6


def _set(where: Any, into: Any, keys: list[str], text: str, variable: str) -> None:
    key, *rest = keys
    slot: Any = key
    if isinstance(where, list):
        if not _is_number(key) or int(key) > len(where):
            raise Invalid([Fault(variable, f"there are {len(where)} members; number them from 0.")])
        slot, into = int(key), _member(into)
        if slot == len(where):
            where.append(None)
    elif isinstance(where, dict):
        into = _field_type(into, key)
        where.setdefault(key)
    else:
        raise Invalid([Fault(variable, "leads into a value; only sections and lists have members.")])
    if not rest:
        where[slot] = _from_text(text, into)
        return
    if where[slot] is None:
        where[slot] = [] if _is_list(into) else {}
    _set(where[slot], into, rest, text, variable)


def _field_type(into: Any, name: str) -> Any:
    for option in (into, *get_args(into)):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return next((f.type for f in msgspec.structs.fields(option) if f.name == name), Any)
    return Any


def _plain(into: Any) -> Any:
    return into.__origin__ if hasattr(into, "__metadata__") else into


def _is_list(into: Any) -> bool:
    return get_origin(_plain(into)) is tuple


def _member(into: Any) -> Any:
    args = get_args(_plain(into))
    return args[0] if args else Any


def _is_text(into: Any) -> bool:
    into = _plain(into)
    if get_origin(into) in (Union, types.UnionType):
        return any(_is_text(arg) for arg in get_args(into))
    return into is str or get_origin(into) is Literal


def _from_text(text: str, into: Any) -> Any:
    """A variable's text as the type it is meant for: itself for text, else read as a TOML value."""
    if _is_text(into):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
