"""A virtual switch on a clock that stands still, and a face that writes down what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.pbx.virtual.callees import Callee
from orchestrator.pbx.virtual.clips import Clips
from orchestrator.pbx.virtual.leg import Leg
from orchestrator.pbx.virtual.switch import Limits, Switch
from orchestrator.pbx.virtual.timeline import ManualTimeline

EPOCH = 1_000_000_000.0


class Diary:
    """A face that ends what is over, and notes what it was told, and when."""

    def __init__(self) -> None:
        self.switch: Switch
        self.told: list[tuple[float, str]] = []

    def _note(self, what: str) -> None:
        self.told.append((round(self.switch.timeline.now() - EPOCH, 3), what))

    def rang(self, leg: Leg) -> None:
        self._note(f"rang {leg.state}")

    def sounded(self, leg: Leg) -> None:
        self._note(f"sounded {leg.state}")

    def answered(self, leg: Leg) -> None:
        self._note(f"answered {leg.state}")

    def pressed(self, leg: Leg, key: str, seconds: float) -> None:
        self._note(f"pressed {key}")

    def refused(self, leg: Leg, cause: int, sip_status: int) -> None:
        self._note(f"refused {cause} {sip_status}")
        self.switch.end(leg, cause)

    def left(self, leg: Leg, cause: int) -> None:
        self._note(f"left {cause}")
        self.switch.end(leg, cause)

    def timed_out(self, leg: Leg) -> None:
        self._note("timed out")
        self.switch.end(leg, 19)


class World:
    """A switch, its clock and a diary."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        callees: Mapping[str, Callee] | None = None,
        limits: Limits | None = None,
        keep_heard: int = 0,
    ) -> None:
        self.timeline = ManualTimeline(EPOCH)
        self.diary = Diary()
        self.switch = Switch(
            self.timeline,
            Clips([folder] if folder else []),
            callees=callees,
            limits=lambda: limits or Limits(),
            keep_heard=keep_heard,
        )
        self.diary.switch = self.switch

    def dial(self, number: str, leg_id: str = "leg", timeout: float | None = 30) -> Leg:
        return self.switch.dial(leg_id, number, "15550100", self.diary, timeout=timeout)


def write_sound(folder: Path, name: str, samples: list[int]) -> Path:
    """A sound of these samples, as raw 16-bit PCM."""
    path = folder / f"{name}.sln"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
    return path


def samples_in(pcm: bytes) -> list[int]:
    """The samples of 16-bit PCM."""
    return [int.from_bytes(pcm[n : n + 2], "little", signed=True) for n in range(0, len(pcm), 2)]
