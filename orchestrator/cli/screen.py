"""A call on a terminal, live: what has happened, what happens now, and the verdict."""

from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.call.state import Call
from orchestrator.cli.plain import undelivered
from orchestrator.cli.timeline import Step, Story, details, notified, signals, told_of
from orchestrator.ledger.records import Summary

WIDTH = 78
_BAR = 24
_WAVES = ("       ", ")      ", "))     ", ")))    ", " )))   ", "  )))  ", "   ))  ", "    )  ")
_COLOURS = {
    "completed": "green",
    "hung_up_early": "yellow",
    "busy": "yellow",
    "no_answer": "yellow",
    "rejected": "yellow",
    "cancelled": "yellow",
    "expired": "yellow",
}
_MARKS = {"green": "✔", "yellow": "▲", "red": "✘"}
_NOW = {
    "waiting": "waiting to dial",
    "planned": "asking the PBX to dial",
    "lost": "no answer from the PBX yet; asking what became of the call",
    "dialing": "waiting for the far end",
    "ringing": "ringing",
    "answered": "taking the call over",
    "playing": "playing",
    "collecting": "waiting for keys",
    "joining": "connecting the two",
    "announcing": "telling both that they are recorded",
    "talking": "the two are talking",
    "telling": "telling the caller why",
    "hanging_up": "hanging up",
}


class Screen:
    """Draws the call, frame by frame.

    `play_ms` are the lengths of the plays, where they are known. `below` gives lines to show under the steps.
    """

    def __init__(
        self,
        console: Console,
        play_ms: Sequence[int] = (),
        below: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self._console = console
        self._play_ms = tuple(play_ms)
        self._below = below
        self._live: Live | None = None
        self._spinner = Spinner("dots", style="cyan")

    def update(self, now: float, told: Story, note: str) -> None:
        """Draw one frame."""
        if self._live is None:
            self._live = Live(
                console=self._console, auto_refresh=False, transient=True, vertical_overflow="visible"
            )
            self._live.start()
        self._live.update(self._frame(now, told, note), refresh=True)

    def end(self, told: Story, summary: Summary | None) -> None:
        """Leave the whole story and its verdict on the screen."""
        self.close()
        self._console.print(
            Group(_title(told), Text(), self._steps(told), *self._lines(), Text(), _verdict(told, summary))
        )
        problem = undelivered(summary)
        if problem:
            self._console.print(Padding(Text(problem, style="yellow"), (0, 2)), width=WIDTH)

    def close(self) -> None:
        """Stop drawing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _frame(self, now: float, told: Story, note: str) -> RenderableType:
        steps = self._steps(told)
        if not told.ended:
            self._add_now(steps, now, told)
        elapsed = now - told.job.created_at
        foot = Text(f"  {elapsed:7.1f} s", style="dim")
        foot.append(f"   {note}" if note else "   Ctrl-C hangs up", style="yellow" if note else "dim")
        return Group(_title(told), Text(), steps, *self._lines(), Text(), foot)

    def _lines(self) -> list[RenderableType]:
        lines = self._below()
        return [Text(), *(Text(line, style="dim") for line in lines)] if lines else []

    def _steps(self, told: Story) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right", width=11, style="dim")
        table.add_column(width=1)
        table.add_column(width=WIDTH - 28)
        table.add_column(justify="right", width=11, style="dim")
        done = {step.fields["play"]: step for step in told.steps if step.event == "play_done"}
        before = told.job.created_at
        for step in told.steps:
            if step.event == "play_done":
                before = step.at
                continue
            after = f"+{max(0.0, step.at - before):.3f}" if step.event != "accepted" else ""
            before = step.at
            whole = done.get(step.fields["play"]) if step.event == "play_began" else None
            if step.event == "play_began" and whole is None and not told.ended and step is _last(told, step):
                continue  # still on: drawn as what happens now
            mark, style = _mark(step, whole)
            table.add_row(
                f"{step.at - told.job.created_at:.3f} s",
                Text(mark, style=style),
                self._line(step, whole),
                after,
            )
        return table

    def _line(self, step: Step, whole: Step | None) -> RenderableType:
        if step.event == "play_began":
            length = self._length(int(step.fields["play"]))
            if whole is not None:
                return _bar(_play_name(step), 1.0, f"{whole.at - step.at:.1f} s", "green")
            return _bar(_play_name(step), 0.0 if length is None else 0.5, "cut short", "yellow")
        text = Text(step.text)
        if step.event == "hangup" and step.fields["outcome"] != "completed":
            text.append(f": {step.fields['reason']}", style="dim")
        elif step.event == "answered" and step.fields["ring_seconds"]:
            text.append(f"  after {step.fields['ring_seconds']:.1f} s of ringing", style="dim")
        return text

    def _add_now(self, table: Table, now: float, told: Story) -> None:
        last = told.steps[-1]
        since = max(0.0, now - last.at)
        doing = told.doing
        label: RenderableType
        waited = f"{since:.1f} s"
        if doing == "playing" and last.event == "play_began":
            length = self._length(int(last.fields["play"])) or (
                told.call.play_seconds if isinstance(told.call, Call) else 0
            )
            seconds = f"{since:.1f} / {length:.1f} s"
            label, waited = _bar(_play_name(last), since / length if length else 0.0, seconds, "cyan"), ""
        else:
            label = Text(_NOW.get(doing, doing), style="bold")
            if doing == "ringing":
                label.append("  ☎ ", style="bold")
                label.append(_WAVES[int(now * 8) % len(_WAVES)], style="cyan")
        # As a spinner turns by its own clock, it is asked for the frame of this moment.
        table.add_row(f"{now - told.job.created_at:.1f} s", self._spinner.render(now), label, waited)

    def _length(self, play: int) -> float | None:
        return self._play_ms[play - 1] / 1000 if play <= len(self._play_ms) else None


def _title(told: Story) -> Text:
    job = told_of(told.job.body)
    title = Text("  ☎  ", style="cyan")
    title.append(job.to, style="bold")
    from_ = (told.call.caller_id if told.call is not None else None) or job.from_
    if from_:
        title.append(f"  from {from_}", style="dim")
    title.append(f"\n     job {told.job.id}", style="dim")
    return title


def _verdict(told: Story, summary: Summary | None) -> RenderableType:
    outcome = told.job.outcome or "failed"
    colour = _COLOURS.get(outcome, "red")
    head = Text(f"{_MARKS[colour]}  {outcome.upper().replace('_', ' ')}", style=f"bold {colour}")
    head.append(f"   {told.job.reason}", style="default")
    took = (told.job.ended_at or told.job.created_at) - told.job.created_at
    lines = [head]
    figures = details(told)
    if figures:
        lines.append(Text("   " + " · ".join(figures)))
    last = [*([signals(told)] if signals(told) else []), f"{took:.1f} s in all"]
    lines.append(Text("   " + " · ".join(last), style="dim"))
    if summary is not None and summary.notifications:
        lines.append(Text(f"   notifications: {notified(summary.notifications)}", style="dim"))
    return Panel(Group(*lines), border_style=colour, width=WIDTH, padding=(0, 1))


def _bar(label: str, part: float, seconds: str, colour: str) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=max(12, len(label)))
    row.add_column(width=_BAR)
    row.add_column()
    bar = ProgressBar(
        total=1.0, completed=min(1.0, part), width=_BAR, complete_style=colour, finished_style=colour
    )
    row.add_row(Text(label), bar, Text(seconds, style="dim"))
    return row


def _mark(step: Step, whole: Step | None) -> tuple[str, str]:
    if step.event == "play_began":
        return ("✓", "green") if whole is not None else ("▲", "yellow")
    if step.event == "hangup":
        colour = _COLOURS.get(step.fields["outcome"], "red")
        return ("✓" if colour == "green" else _MARKS[colour]), colour
    return "✓", "green"


def _play_name(step: Step) -> str:
    return str(step.fields["prompt"])


def _last(told: Story, step: Step) -> Step:
    """The latest beginning of the play that `step` began: a play that was interrupted has several."""
    return next(s for s in reversed(told.steps) if s.event == step.event and s.fields == step.fields)
