"""The results of tools/bench/compare: ratios, a table and a chart.

A figure is the result of one benchmark in one round. Its name is "work/who":
"limit" does the same work by bare system calls. Each ratio is of two figures of
the same round; the median is that of the ratios. A load that slows the machine
for a while slows both figures.
"""

import dataclasses
import statistics
from typing import Dict, List, Optional
from xml.sax import saxutils

OURS = "asyncproc"
LIMIT = "limit"


@dataclasses.dataclass(frozen=True)
class Work:
    """A row of the table, and its bar."""

    name: str
    title: str
    # "time": the time, divided by that of the limit, is at most `bar`. "rate":
    # the rate, divided by that of the limit, is at least `bar`. "counter": the
    # counter `counter` is at most `bar`.
    kind: str = "time"
    bar: Optional[float] = None
    counter: str = ""
    limit: str = "the same by bare system calls"
    # For a peer: the least time, divided by that of asyncproc.
    ahead: Dict[str, float] = dataclasses.field(default_factory=dict)
    # The maximum number of rounds, for a benchmark that takes long.
    rounds: int = 1000
    # False: the limit's CPU time is not that of the host.
    cpu: bool = True


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median, and the quarters around it."""

    median: float
    low: float
    high: float
    count: int
    # A benchmark was stopped before its end: the value would be larger.
    at_least: bool = False


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one row."""

    work: Work
    # asyncproc to the limit, by the row's kind; for a counter, its value. None:
    # not measured.
    value: Optional[Spread]
    # The host's CPU time with asyncproc, divided by that with the limit.
    cpu: Optional[Spread]
    # For each peer: its time, divided by that of asyncproc.
    others: Dict[str, Spread]

    @property
    def met(self) -> Optional[bool]:
        """Whether the row meets its bar; None: no bar, or not measured."""
        if self.work.bar is None and not self.work.ahead:
            return None
        verdicts = [self._is_within(self.work.bar, self.value)]
        for who, factor in self.work.ahead.items():
            other = self.others.get(who)
            verdicts.append(None if other is None else other.median >= factor)
        if False in verdicts:
            return False
        return None if None in verdicts else True

    def _is_within(self, bar, value) -> Optional[bool]:
        if value is None:
            return None
        if bar is None:
            return True
        return value.median >= bar if self.work.kind == "rate" else value.median <= bar


def spread(values: List[float]) -> Optional[Spread]:
    """None without values. One value is its own quarters."""
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high, len(values))


def ratios(rounds: List[dict], above: str, below: str, what: str) -> List[float]:
    """figures[above][what] / figures[below][what] of each round with both."""
    found = []
    for figures in rounds:
        if above in figures and below in figures and figures[below][what] > 0:
            found.append(figures[above][what] / figures[below][what])
    return found


def evaluate(work: Work, rounds: List[dict]) -> Result:
    """`rounds`: in each, who -> {"real": s, "cpu": s, "counters": {...}}."""
    if work.kind == "counter":
        value = spread([figures[OURS]["counters"][work.counter]
                        for figures in rounds if OURS in figures])
    elif work.kind == "rate":
        value = spread(ratios(rounds, LIMIT, OURS, "real"))
    else:
        value = spread(ratios(rounds, OURS, LIMIT, "real"))
    others = {}
    for who in sorted({who for figures in rounds for who in figures}):
        if who in (OURS, LIMIT):
            continue
        of_who = spread(ratios(rounds, who, OURS, "real"))
        if of_who is not None:
            gave_up = any(figures.get(who, {}).get("counters", {}).get("gave_up")
                          for figures in rounds)
            others[who] = dataclasses.replace(of_who, at_least=gave_up)
    cpu = spread(ratios(rounds, OURS, LIMIT, "cpu")) if work.cpu else None
    return Result(work, value, cpu, others)


def number(value: float) -> str:
    """At most three digits: the noise is larger than a fourth."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bar_text(work: Work) -> str:
    """The bars of a row, as text."""
    parts = []
    if work.bar is not None:
        sign = "≥" if work.kind == "rate" else "≤"
        parts.append(f"{sign} {work.bar:g}")
    parts += [f"{who} ≥ {factor:g} x" for who, factor in work.ahead.items()]
    return ", ".join(parts)


def table(results: List[Result]) -> str:
    """A table of Markdown, whose columns are aligned in plain text too."""
    rows = [("work", "asyncproc : limit", "quarters", "asked", "", "CPU",
             "others : asyncproc")]
    for result in results:
        value = result.value
        if value is None:
            rows.append((result.work.title, "-", "", bar_text(result.work), "?",
                         "", ""))
            continue
        share = " of its rate" if result.work.kind == "rate" else ""
        rows.append((
            result.work.title,
            number(value.median) + share,
            f"{number(value.low)} to {number(value.high)}",
            bar_text(result.work),
            {True: "met", False: "MISSED",
             None: "?" if bar_text(result.work) else ""}[result.met],
            number(result.cpu.median) if result.cpu else "",
            ", ".join(f"{who} {'> ' if s.at_least else ''}{number(s.median)} x"
                      for who, s in sorted(result.others.items(),
                                           key=lambda item: item[1].median)),
        ))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width)
                          for cell, width in zip(row, widths)) + " |"
        for row in rows) + "\n"


def as_json(results: List[Result], rounds: Dict[str, List[dict]],
            context: dict) -> dict:
    """All results, with the figures of each round."""
    works = []
    for result in results:
        entry = dataclasses.asdict(result)
        entry["work"].pop("rounds")
        entry["met"] = result.met
        entry["rounds"] = rounds[result.work.name]
        works.append(entry)
    return {"context": context, "works": works}


# --- The chart: a group of bars for each row. The length of a bar is the speed,
# divided by that of the limit. The colours are visible on white and on black.

_ROW = 16
_GAP = 14
_LEFT = 120
_WIDTH = 460
_TOTAL = 640
# Longer bars are cut off.
_LONGEST = 1.5
_COLOURS = {OURS: "#1a73e8", LIMIT: "#bdc1c6"}
_OTHER = "#f29900"


def _speeds(result: Result) -> Dict[str, float]:
    """who -> speed, divided by that of the limit. Empty for a counter."""
    work = result.work
    if result.value is None or work.kind == "counter":
        return {}
    ours = (result.value.median if work.kind == "rate"
            else 1 / result.value.median)
    speeds = {OURS: ours}
    for who, of_who in result.others.items():
        speeds[who] = ours / of_who.median
    return speeds


def svg(results: List[Result], subtitle: str) -> str:
    """The text of the chart's file."""
    groups = [(result.work.title, _speeds(result)) for result in results]
    groups = [(title, speeds) for title, speeds in groups if speeds]
    longest = max([1.0] + [s for _, speeds in groups for s in speeds.values()])
    scale = _WIDTH / min(longest, _LONGEST)
    lines = []
    y = 58
    for title, speeds in groups:
        lines.append(f'<text x="8" y="{y}" class="t">'
                     f"{saxutils.escape(title)}</text>")
        y += 6
        ordered = sorted(speeds.items(), key=lambda item: -item[1])
        for who, speed in ordered:
            length = max(1.0, min(speed * scale, _WIDTH))
            colour = _COLOURS.get(who, _OTHER)
            lines.append(
                f'<text x="{_LEFT - 6}" y="{y + 11}" class="w">'
                f"{saxutils.escape(who)}</text>"
                f'<rect x="{_LEFT}" y="{y + 2}" width="{length:.1f}" '
                f'height="{_ROW - 4}" fill="{colour}"/>'
                f'<text x="{_LEFT + length + 5:.1f}" y="{y + 11}" class="n">'
                f"{number(speed) if speed >= 0.095 else f'{speed:.3f}'}"
                f"{' …' if speed > _LONGEST else ''}</text>")
            y += _ROW
        y += _GAP + 4
    x = _LEFT + scale
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_TOTAL}" '
        f'height="{y}" viewBox="0 0 {_TOTAL} {y}" '
        'font-family="sans-serif" font-size="11">\n'
        "<style>.t{font-weight:bold;fill:#5f6368}.w{text-anchor:end;"
        "fill:#80868b}.n{fill:#80868b}.h{font-size:14px;font-weight:bold;"
        "fill:#5f6368}</style>\n"
        '<text x="8" y="18" class="h">Speed, as a share of that of bare '
        "system calls (1, the line)</text>\n"
        f'<text x="8" y="34" class="n">{saxutils.escape(subtitle)}</text>\n'
        f'<line x1="{x:.1f}" y1="44" x2="{x:.1f}" y2="{y - _GAP}" '
        'stroke="#80868b" stroke-dasharray="3 3"/>\n')
    return head + "\n".join(lines) + "\n</svg>\n"
