"""The record of a play: what happened when. A play writes it, tests judge by it, picture.py draws it, and it is kept as JSON.

Times are seconds of the wall clock; programs in pods and those beside the node have the same.
"""

import dataclasses
import json
import pathlib


@dataclasses.dataclass
class Act:
    """Something done to the fleet. It begins with the command, is settled when the cluster says so, and lasts until the next one."""

    name: str
    begun: float
    settled: float = None
    ended: float = None


@dataclasses.dataclass
class Record:
    acts: list = dataclasses.field(default_factory=list)
    commits: list = dataclasses.field(default_factory=list)  # [when it was read, its outcomes]
    ready: dict = dataclasses.field(default_factory=dict)  # Role -> [[from when, pods that are ready and to stay]]
    requests: list = dataclasses.field(default_factory=list)  # What in_pod/ask.py said, without the outcomes.

    def outcomes(self, begin, end):
        return sum(count for at, count in self.commits if begin <= at < end)

    def rate(self, act):
        """Items a second once the act was settled."""
        return self.outcomes(act.settled, act.ended) / (act.ended - act.settled)

    def silence(self, act):
        """The longest time without an outcome, from the command on. An act that began within one is charged with all of it."""
        moments = [at for at, _ in self.commits]
        before = max((at for at in moments if at <= act.begun), default=act.begun)
        within = [before, *(at for at in moments if act.begun < at <= act.ended)]
        return max((after - at for at, after in zip(within, [*within[1:], act.ended])), default=0)

    def failed(self, *acts):
        """Small requests that failed, of those that were under way at any moment of these acts; of all, where none is named."""
        return [each for each in self.requests if each["problem"] is not None and
                (not acts or any(each["at"] < act.ended and each["at"] + each["seconds"] >= act.begun for act in acts))]

    def act(self, name):
        return next(act for act in self.acts if act.name == name)

    def table(self):
        """A line an act, for people."""
        yield f"{'act':34} {'settled in':>10} {'items/s then':>12} {'longest silence':>15} {'small requests':>14} {'failed':>6}"
        for act in self.acts:
            asked = sum(act.begun <= each["at"] < act.ended for each in self.requests)
            yield (f"{act.name:34} {act.settled - act.begun:8.1f} s {self.rate(act):12.1f} {self.silence(act):13.1f} s "
                   f"{asked:14} {len(self.failed(act)):6}")

    def save(self, path):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(self)), "utf-8")

    @staticmethod
    def load(path):
        fields = json.loads(pathlib.Path(path).read_text("utf-8"))
        return Record(**{**fields, "acts": [Act(**act) for act in fields["acts"]]})
