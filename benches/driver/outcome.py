"""What a case has found: figures in rows, and what could not be had."""

from dataclasses import asdict, dataclass, field
from math import isfinite
from statistics import median


@dataclass
class Figure:
    """The median over the rounds, and how far apart they were."""

    median: float
    low: float
    high: float

    @classmethod
    def over(cls, values):
        """None if a round has no value: half of the rounds would be another figure."""
        values = list(values)
        if not values or any(value is None for value in values):
            return None
        return cls(median(values), min(values), max(values))

    def spread(self):
        """Half the way from the lowest to the highest, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0


@dataclass
class Row:
    """One gateway, or one way of running it."""

    key: str
    title: str
    figures: dict[str, Figure | None]


@dataclass(frozen=True)
class Column:
    """How a figure is shown."""

    figure: str
    title: str
    # Digits behind the point.
    digits: int = 0
    # Whether the spread is shown too.
    spread: bool = False


@dataclass
class Outcome:
    """A case that was run."""

    key: str
    title: str
    says: str
    columns: list[Column]
    rows: list[Row] = field(default_factory=list)
    # (title, why) of what is not measured here, which is no failure.
    left_out: list[tuple[str, str]] = field(default_factory=list)
    # (title, why) of what ought to have worked.
    faults: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # The figure that the plot shows, and what it is called there.
    plot: tuple[str, str] | None = None

    def as_json(self):
        """JSON knows no infinity: what never came is null."""
        found = asdict(self)
        for row in found["rows"]:
            for figure in filter(None, row["figures"].values()):
                figure |= {name: None for name, value in figure.items() if not isfinite(value)}
        return found
