"""What each kind of job must have, and what it must not. Pure; no fault shows a value."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from orchestrator.validate import Fault

if TYPE_CHECKING:
    from orchestrator.job import Item, Job

_ONLY_FOR: Final[dict[str, tuple[str, ...]]] = {
    "code": ("code",),
    "items": ("notice", "callback"),
    "gate": ("notice",),
    "caller": ("callback",),
    "caller_from": ("callback",),
    "record": ("callback",),
    "plays_": ("code", "notice"),
}


def faults_of_kind(job: "Job", min_code_digits: int) -> list[Fault]:
    """What is wrong with the job for one of its kind."""
    faults = list(_foreign(job))
    match job.kind.value:
        case "code":
            faults += _code(job, min_code_digits)
        case "notice":
            faults += _notice(job)
        case _:
            faults += _callback(job)
    for n, item in enumerate(job.items or ()):
        faults += _item(f"$.items[{n}]", item)
    return faults


def _foreign(job: "Job") -> Iterator[Fault]:
    for name, kinds in _ONLY_FOR.items():
        if getattr(job, name) and job.kind.value not in kinds:
            only = " or ".join(f"`{kind}`" for kind in kinds)
            yield Fault(f"$.{name.rstrip('_')}", f"only for a job of kind {only}")


def _code(job: "Job", min_code_digits: int) -> Iterator[Fault]:
    if job.code is None:
        yield Fault("$.code", "required for a job of kind `code`")
    elif len(job.code) < min_code_digits:
        yield Fault("$.code", f"too short: the configuration asks for {min_code_digits} digits")


def _notice(job: "Job") -> Iterator[Fault]:
    if job.items is None and job.template is None:
        yield Fault("$.items", "required for a job of kind `notice`, unless it has a `template`")
    if job.items is not None and job.template is not None:
        yield Fault("$.template", "give `items` or `template`, not both")
    if job.plays > 1 and any(item.collect is not None for item in job.items or ()):
        yield Fault("$.plays", "items that collect keys are gone through once; leave `plays` out")


def _callback(job: "Job") -> Iterator[Fault]:
    if job.caller is None:
        yield Fault("$.caller", "required for a job of kind `callback`")
    elif job.caller == job.to:
        yield Fault("$.caller", "the same number as `to`")
    if job.items is not None and job.template is not None:
        yield Fault("$.template", "give `items` or `template`, not both")
    for n, item in enumerate(job.items or ()):
        if item.collect is not None:
            yield Fault(f"$.items[{n}].collect", "only for a job of kind `notice`")


def _item(path: str, item: "Item") -> Iterator[Fault]:
    given = [name for name in ("template", "sound", "text") if getattr(item, name) is not None]
    if len(given) != 1:
        yield Fault(path, "give exactly one of `template`, `sound` and `text`")
    if item.variables and item.template is None:
        yield Fault(f"{path}.variables", "only for an item with a `template`")
    collect = item.collect
    if collect is not None and collect.terminator and collect.terminator == collect.replay_on:
        yield Fault(f"{path}.collect.replay_on", "the same key as `terminator`")
