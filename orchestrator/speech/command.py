"""Any program that speaks, as the configuration writes its command line."""

from pathlib import Path

from orchestrator.prompts.tags import fallbacks
from orchestrator.speech.child import OUTPUT
from orchestrator.speech.engines import Manner, Plan, file_identity, find_program, missing
from orchestrator.speech.settings import Command


class CommandLine:
    """One `[speech.commands.<name>]`."""

    def __init__(self, name: str, settings: Command, folder: Path) -> None:
        self.name = name
        self._settings = settings
        self._program = find_program(settings.command[0], folder)
        self._speaks = frozenset(tag.lower() for tag in settings.languages)

    def speaks(self, language: str) -> bool:
        """Whether the configuration says that it speaks the language, without naming it for that."""
        return any(tag in self._speaks for tag in fallbacks(language))

    def found(self) -> str:
        """Where its program is. Raises `EngineMissing`."""
        line = self._settings.command
        if self._program is None:
            raise missing(
                f"{self.name} is not here: there is no program {line[0]}",
                f"install it, or correct [speech.commands.{self.name}]",
            )
        return self._program

    def plan(self, manner: Manner) -> Plan:
        """Raises `EngineMissing`."""
        program = self.found()
        self._refuse(manner)
        values = {
            "{voice}": manner.voice or "",
            "{language}": manner.language,
            "{rate}": f"{manner.rate:g}",
            "{pitch}": f"{manner.pitch:g}",
        }
        made = []
        for part in self._settings.command[1:]:
            filled = part
            for mark, value in values.items():
                filled = filled.replace(mark, value)
            made.append(filled)
        return Plan(
            argv=(program, *made),
            identity=f"{self._settings.version} {file_identity(program)} {made}",
            voice=manner.voice or "",
        )

    def _refuse(self, manner: Manner) -> None:
        whole = " ".join(self._settings.command).replace(OUTPUT, "")
        for mark, wanted in (
            ("{rate}", manner.rate != 1),
            ("{pitch}", manner.pitch != 0),
            ("{voice}", manner.voice is not None),
        ):
            if wanted and mark not in whole:
                raise missing(
                    f"{self.name} cannot change its {mark[1:-1]}",
                    f"put {mark} into its command, or take it out of the prompt",
                )
