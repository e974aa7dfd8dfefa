"""How the story is told: one calm line per step with its time, then a table. In: steps. Out: lines, figures."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

NOTE_EVERY = 10.0


class StepFailedError(Exception):
    """A step did not hold: what was expected, and what was seen instead."""

    def __init__(self, expected: str, seen: object) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen


def expect(holds: bool, expected: str, seen: object) -> None:
    """StepFailedError unless it ``holds``."""
    if not holds:
        raise StepFailedError(expected, seen)


@dataclass(slots=True)
class Step:
    """One line of the list; set ``text`` to say what was found. ``seconds`` is known at its end."""

    key: str
    text: str
    seconds: float = 0.0


@dataclass(slots=True)
class Teller:
    """Prints steps as they end and keeps their times; ``figures`` are what the last table shows beside them."""

    begun: float = field(default_factory=time.monotonic)
    steps: list[Step] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    noted: float = 0.0

    def say(self, text: str = "") -> None:
        print(text, flush=True)

    def part(self, title: str) -> None:
        """A heading."""
        self.say(f"\n{_styled(title, '1')}")

    @contextmanager
    def step(self, key: str, text: str) -> Iterator[Step]:
        """Time what is done inside; the line is printed at its end, with a cross if it failed."""
        step, start = Step(key, text), time.monotonic()
        if _terminal():
            sys.stdout.write(f"  … {text}")
            sys.stdout.flush()
        try:
            yield step
        except BaseException:
            step.seconds = time.monotonic() - start
            self._line(_styled("✗", "31"), step)
            raise
        step.seconds = time.monotonic() - start
        self.steps.append(step)
        self._line(_styled("✓", "32"), step)

    def note(self, text: str) -> None:
        """How far the step under way is: in its place on a terminal, else a line every ten seconds."""
        if _terminal():
            sys.stdout.write(f"\r\x1b[K  … {text}")
            sys.stdout.flush()
        elif time.monotonic() - self.noted >= NOTE_EVERY:
            self.noted = time.monotonic()
            self.say(f"    {text}")

    def _line(self, mark: str, step: Step) -> None:
        head = "\r\x1b[K" if _terminal() else ""
        self.say(f"{head}  {mark} {step.text} {_styled(f'… {step.seconds:.1f} s', '2')}")

    def table(self) -> None:
        """Figures, then the whole time."""
        self.part("Figures")
        for name, seconds in self.figures.items():
            self.say(f"  {name:<58}{seconds:8.2f} s")
        self.say(f"  {'the whole run':<58}{self.elapsed:8.2f} s")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.begun

    def document(self) -> dict[str, object]:
        """All of it for programs; times in seconds."""
        return {
            "total": round(self.elapsed, 3),
            "figures": {name: round(seconds, 3) for name, seconds in self.figures.items()},
            "steps": [{"key": step.key, "text": step.text, "seconds": round(step.seconds, 3)} for step in self.steps],
        }


def _terminal() -> bool:
    return sys.stdout.isatty()


def _styled(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _terminal() and not os.environ.get("NO_COLOR") else text
