#!/usr/bin/python3
"""Draws the record of a play as SVG: items a second and ready workers over time, with what happened marked. Readable on light and dark.

    picture.py RECORD.json > docs/images/scale.svg
"""

import sys
from xml.sax.saxutils import escape

from record import Record

WIDTH, LEFT, RIGHT = 960, 56, 56
TOP, HEIGHT, LABELS = 34, 300, 120  # Of the plot, and of the names below it.
BIN_SECONDS = 2
SMOOTH_BINS = 3  # A bin is drawn as the mean of so many around it.
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #333; }
  .axis, .grid { stroke: #999; stroke-width: 1; } .grid { stroke-opacity: .25; }
  .items { fill: #2b6cb0; fill-opacity: .25; stroke: #2b6cb0; stroke-width: 1.5; }
  .workers { fill: none; stroke: #c05621; stroke-width: 2; }
  .mark { stroke: #777; stroke-dasharray: 3 3; }
  .of-items { fill: #2b6cb0; } .of-workers { fill: #c05621; }
  @media (prefers-color-scheme: dark) {
    text { fill: #ccc; } .items { fill: #63b3ed; stroke: #63b3ed; fill-opacity: .2; }
    .workers { stroke: #f6ad55; } .of-items { fill: #63b3ed; } .of-workers { fill: #f6ad55; }
  }
"""


def rates(record, begin, end):
    """Items a second in bins from `begin` on, smoothed."""
    bins = [0] * (int((end - begin) / BIN_SECONDS) + 1)
    for at, items in record.commits:
        if begin <= at <= end:
            bins[int((at - begin) / BIN_SECONDS)] += items
    reach = SMOOTH_BINS // 2
    around = [bins[max(0, i - reach):i + reach + 1] for i in range(len(bins))]
    return [sum(some) / len(some) / BIN_SECONDS for some in around]


def round_up(value, steps=(1, 2, 4, 5, 8, 10)):
    """The next number that reads well."""
    power = 1
    while value > 10 * power:
        power *= 10
    return next(step * power for step in steps if step * power >= value)


class Plot:
    def __init__(self, record):
        self.record = record
        self.begin, self.end = record.acts[0].begun, record.commits[-1][0]
        self.rates = rates(record, self.begin, self.end)
        self.workers = record.ready["worker"]
        self.most_items = round_up(max(self.rates))
        self.most_workers = round_up(max(count for _, count in self.workers))

    def x(self, at):
        at = min(max(at, self.begin), self.end)
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - self.begin) / (self.end - self.begin)

    @staticmethod
    def y(part):
        return TOP + HEIGHT * (1 - part)

    def items(self):
        points = [f"{self.x(self.begin + (i + .5) * BIN_SECONDS):.1f},{self.y(rate / self.most_items):.1f}"
                  for i, rate in enumerate(self.rates)]
        yield f'<path class="items" d="M{self.x(self.begin):.1f},{self.y(0)} L{" ".join(points)} L{self.x(self.end):.1f},{self.y(0)} Z"/>'

    def ready_workers(self):
        path = f"M{self.x(self.begin):.1f},{self.y(self.count_at(self.begin) / self.most_workers):.1f}"
        for at, count in self.workers:
            if at > self.begin:
                path += f" H{self.x(at):.1f} V{self.y(count / self.most_workers):.1f}"
        yield f'<path class="workers" d="{path} H{self.x(self.end):.1f}"/>'

    def count_at(self, when):
        return max([(at, count) for at, count in self.workers if at <= when] or [(0, 0)])[1]

    def axes(self):
        for quarter in range(5):
            y = self.y(quarter / 4)
            yield f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
            yield f'<text class="of-items" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{self.most_items * quarter / 4:g}</text>'
            yield f'<text class="of-workers" x="{WIDTH - RIGHT + 8}" y="{y + 4}">{self.most_workers * quarter / 4:g}</text>'
        yield f'<text class="of-items" x="8" y="18">items a second</text>'
        yield f'<text class="of-workers" x="{WIDTH - 8}" y="18" text-anchor="end">workers ready</text>'
        step = round_up((self.end - self.begin) / 10, (1, 2, 3, 6, 10))
        for number in range(int((self.end - self.begin) / step) + 1):
            x = self.x(self.begin + number * step)
            yield f'<text x="{x:.1f}" y="{self.y(0) + 18}" text-anchor="middle">{number * step} s</text>'

    def marks(self):
        for act in self.record.acts:
            x = self.x(act.begun)
            yield f'<line class="mark" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{self.y(0) + 26}"/>'
            yield (f'<text x="{x:.1f}" y="{self.y(0) + 34}" text-anchor="start" '
                   f'transform="rotate(45 {x:.1f} {self.y(0) + 34})">{escape(act.name)}</text>')

    def svg(self):
        height = TOP + HEIGHT + LABELS
        yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        yield f"<title>Items a second and ready workers over time</title><style>{STYLE}</style>"
        for part in (self.axes, self.items, self.ready_workers, self.marks):
            yield from part()
        yield "</svg>"


if __name__ == "__main__":
    print("\n".join(Plot(Record.load(sys.argv[1])).svg()))
