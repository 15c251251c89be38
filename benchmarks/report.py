"""The frame every benchmark runs in: options, goals from ``bars.toml``, a table, and JSON for machines.

A benchmark is one script beside this file, named after its section of ``bars.toml``::

    import report

    def measure(run: report.Run) -> None:
        clicks = 20 if run.quick else 200
        seconds = [one_click() for _ in range(clicks)]
        run.n = clicks                                  # how much was measured
        run.bar("click_p95_ms", 1000 * percentile(seconds, 95))
        run.detail("sam-tiny, 300 slices: p50 (ms)", 1000 * median(seconds))

    if __name__ == "__main__":
        report.main("click_latency", measure)

Options of its own (``add_options=lambda parser: parser.add_argument("--case")``) arrive in ``run.options``.
``python benchmarks/click_latency.py [--quick] [--json FILE]`` prints the table and leaves with 0, or with 1 if a
full run misses a goal or leaves one unmeasured. The JSON holds ``full``, ``n``, ``bars`` (``name``, ``value``,
``goal``, ``holds``) and ``details``.
"""

import argparse
import json
import math
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from napari_medfm.files import atomic_write_bytes

BARS_FILE = Path(__file__).with_name("bars.toml")

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "at most": lambda value, goal: value <= goal,
    "at least": lambda value, goal: value >= goal,
}


@dataclass(frozen=True, slots=True)
class Goal:
    """One bar of ``bars.toml``: which values hold, and who said so."""

    title: str
    goal: float
    direction: str
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A measured bar; `value` is None if a full run did not measure it."""

    name: str
    value: float | None
    goal: float
    holds: bool


@dataclass
class Run:
    """One run of a benchmark: what was asked for, and what has been measured so far.

    Attributes
    ----------
    benchmark : str
        Section of ``bars.toml``.
    quick : bool
        Asked for a short run: measure less; its values prove little.
    options : argparse.Namespace
        All command-line options.
    n : int
        How many things were measured, such as clicks or kills.
    """

    benchmark: str
    quick: bool = False
    options: argparse.Namespace = field(default_factory=argparse.Namespace)
    n: int = 0
    details: dict[str, object] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.goals = read_goals(self.benchmark)

    def bar(self, name: str, value: float) -> None:
        """Report the value of a bar; KeyError if ``bars.toml`` does not name it."""
        if name not in self.goals:
            msg = f"{self.benchmark} has no bar {name!r} in {BARS_FILE.name}; it has {', '.join(self.goals)}"
            raise KeyError(msg)
        if not math.isfinite(value):
            msg = f"{name} is {value}, which is no measurement"
            raise ValueError(msg)
        self.values[name] = value

    def detail(self, name: str, value: object) -> None:
        """Report something that has no goal: a share, a Dice value, a setting. It must fit into JSON."""
        self.details[name] = value

    @property
    def bars(self) -> list[Bar]:
        """The bars in the order of ``bars.toml``; a quick run leaves out what it did not measure."""
        names = [name for name in self.goals if name in self.values or not self.quick]
        return [self._judge(name) for name in names]

    @property
    def holds(self) -> bool:
        """Whether every bar holds."""
        return all(bar.holds for bar in self.bars)

    def _judge(self, name: str) -> Bar:
        goal, value = self.goals[name], self.values.get(name)
        return Bar(name, value, goal.goal, value is not None and _HOLDS[goal.direction](value, goal.goal))


def read_goals(benchmark: str, path: Path = BARS_FILE) -> dict[str, Goal]:
    """Return a benchmark's goals by name; KeyError if it has no section, TypeError if a field is missing."""
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: Goal(**fields) for name, fields in sections[benchmark].items()}


def to_json(run: Run) -> str:
    """Return the run as JSON."""
    content = {
        "full": not run.quick,
        "n": run.n,
        "bars": [asdict(bar) for bar in run.bars],
        "details": run.details,
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def to_table(run: Run) -> Table:
    """Return the run as a table: bars first, then details."""
    table = Table(title=f"{run.benchmark}, {'quick' if run.quick else 'full'} run, n = {run.n}", title_justify="left")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("goal", justify="right")
    table.add_column("holds")
    for bar in run.bars:
        goal = run.goals[bar.name]
        measured = "not measured" if bar.value is None else f"{bar.value:.4g} {goal.unit}".rstrip()
        aim = f"{goal.direction} {goal.goal:g} {goal.unit}".rstrip()
        table.add_row(f"{bar.name}\n  {goal.title}", measured, aim, "yes" if bar.holds else "NO")
    table.add_section()
    for name, value in run.details.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    return table


def main(
    benchmark: str,
    measure: Callable[[Run], None],
    add_options: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a benchmark as a script and leave with its exit code.

    Parameters
    ----------
    benchmark : str
        Section of ``bars.toml``.
    measure : callable
        Does the work and reports through the `Run` it is given.
    add_options : callable, optional
        Adds options of its own to the parser.
    arguments : sequence of str, optional
        Command line; that of the process if not given.
    """
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--quick", action="store_true", help="measure little: shows that it runs, not how fast it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here")
    add_options(parser)
    options = parser.parse_args(arguments)
    run = Run(benchmark, options.quick, options)
    measure(run)
    Console().print(to_table(run))
    if options.json:
        atomic_write_bytes(options.json, to_json(run).encode())
    sys.exit(0 if run.quick or run.holds else 1)
