"""Turn untyped data into a frozen struct, and name every fault at once, by JSON path.

msgspec stops at the first fault. A producer with three wrong fields should hear of three, so a struct is
converted field by field. No message ever shows a value: it might be a code.
"""

import difflib
import enum
import itertools
import types
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

MOST_FAULTS: Final = 100
"""Faults that are told. Small data can have thousands, and each costs time to find and room to tell."""


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong, and where: `$.retry.on[0]`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class Invalid(ValueError):
    """The data does not fit. `faults` names every reason."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


def decode(raw: bytes | str, into: type[T]) -> T:
    """Decode one JSON object into `into`.

    Raises `Invalid` with every fault.
    """
    try:
        return msgspec.json.decode(raw, type=into)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # the common case is over in one pass; for the rest, find out every reason
    try:
        data = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise Invalid([Fault("$", f"not valid JSON: {error}")]) from None
    except UnicodeError:
        raise Invalid([Fault("$", "not valid JSON: it is not UTF-8")]) from None
    except RecursionError:
        raise Invalid([Fault("$", "nested too deeply")]) from None
    convert(data, into)
    # Only the last of two members with one name is in `data`; the first pass has seen both. Others may read
    # the first one, so neither is taken.
    raise Invalid([Fault("$", "a name stands twice in one object, once with a value that does not fit")])


def convert(data: object, into: type[T], path: str = "$") -> T:
    """Convert JSON-like `data` into the struct type `into`.

    Raises `Invalid` with every fault.
    """
    faults: list[Fault] = []
    value = _convert(data, into, path, faults)
    if len(faults) >= MOST_FAULTS:
        more = Fault(path, f"has {MOST_FAULTS} faults or more; the others are not told.")
        raise Invalid([*faults[:MOST_FAULTS], more])
    if faults:
        raise Invalid(faults)
    assert isinstance(value, into)  # noqa: S101 - what msgspec made when there are no faults
    return value


def valid_fields(raw: bytes | str, struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields of one JSON object that have no fault, under their names in Python.

    Raises `msgspec.DecodeError` where `decode` finds no JSON.
    """
    data = msgspec.json.decode(raw)
    valid: dict[str, Any] = {}
    if not isinstance(data, dict):
        return valid
    for field in msgspec.structs.fields(struct):
        faults: list[Fault] = []
        if field.encode_name in data:
            value = _convert(data[field.encode_name], field.type, "", faults)
            if not faults:
                valid[field.name] = value
    return valid


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean x?` for the known word nearest to `word`, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean `{close[0]}`?" if close else ""


def _convert(data: object, into: Any, path: str, faults: list[Fault]) -> Any:
    before = len(faults)
    if before >= MOST_FAULTS:
        return None
    if isinstance(data, dict):
        struct = _find(into, _is_struct)
        if struct is not None:
            return _convert_struct(data, struct, path, faults)
        mapping = _find(into, lambda t: get_origin(t) is dict)
        for key, member in data.items() if mapping is not None else ():
            key_type, member_type = get_args(mapping)
            _convert(key, key_type, f"{path}.{_shown(key)}", faults)
            _convert(member, member_type, f"{path}.{_shown(key)}", faults)
    elif isinstance(data, list):
        sequence = _find(into, lambda t: get_origin(t) in (list, tuple))
        for n, member in enumerate(data) if sequence is not None else ():
            _convert(member, get_args(sequence)[0], f"{path}[{n}]", faults)
    if len(faults) > before:
        return None
    try:
        return msgspec.convert(data, into)
    except msgspec.ValidationError as error:
        faults.append(_fault(str(error), into, path))
        return None


def _convert_struct(
    data: dict[Any, Any], struct: type[msgspec.Struct], path: str, faults: list[Fault]
) -> Any:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    before = len(faults)
    unknown = (key for key in data if key not in fields)
    faults.extend(
        Fault(f"{path}.{_shown(key)}", f"unknown field.{nearest(_shown(key), fields)}")
        for key in itertools.islice(unknown, MOST_FAULTS)
    )
    for name, field in fields.items():
        if name in data:
            _convert(data[name], field.type, f"{path}.{name}", faults)
        elif field.required:
            faults.append(Fault(f"{path}.{name}", "required."))
    if len(faults) > before:
        return None
    try:
        return msgspec.convert(data, struct)
    except msgspec.ValidationError as error:  # a rule of the struct as a whole
        faults.append(_fault(str(error), struct, path))
        return None


def _fault(text: str, into: Any, path: str) -> Fault:
    message, _, inner = text.partition(" - at `")
    path += inner.rstrip("`").removeprefix("$")
    hint = _description(into)
    if message.startswith("Invalid enum value"):  # msgspec quotes the value here
        members = _find(into, lambda t: get_origin(t) is Literal or _is_enum(t))
        known = get_args(members) if get_origin(members) is Literal else list(members or ())
        return Fault(path, f"Not one of {', '.join(str(member) for member in known)}.")
    if "matching regex" in message and hint:
        message = "Not well-formed"
    return Fault(path, f"{message}. {hint}".strip())


def _description(into: Any) -> str:
    described = _find(
        into,
        lambda t: any(isinstance(m, msgspec.Meta) and m.description for m in getattr(t, "__metadata__", ())),
    )
    metas = getattr(described, "__metadata__", ())
    return next((m.description for m in metas if isinstance(m, msgspec.Meta) and m.description), "")


def _find(into: Any, wanted: Callable[[Any], bool]) -> Any:
    """The first type that is `wanted` among `into`, what it annotates, and the members of its union."""
    if wanted(into):
        return into
    if hasattr(into, "__metadata__"):
        return _find(into.__origin__, wanted)
    if get_origin(into) in (Union, types.UnionType):
        return next((found for arg in get_args(into) if (found := _find(arg, wanted)) is not None), None)
    return None


def _is_struct(into: Any) -> bool:
    return isinstance(into, type) and issubclass(into, msgspec.Struct)


def _is_enum(into: Any) -> bool:
    return isinstance(into, type) and issubclass(into, enum.Enum)


def _shown(key: object) -> str:
    """A key as a message may show it: short, and with nothing that moves a terminal's cursor."""
    return "".join(char if char.isprintable() else "?" for char in str(key)[:64])
