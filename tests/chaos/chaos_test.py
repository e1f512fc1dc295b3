#!/usr/bin/python3
"""Each fault of `make chaos` once or twice, on jobs that are smaller."""

import random
import sys
import unittest

sys.path[:0] = ["tests/chaos"]
import chaos  # noqa: E402

ITEMS = 6000


class ChaosTest(unittest.TestCase):
    """Exactly one true outcome an item, and outcomes that go on."""

    def test_on_sqlite(self):
        self.play("sqlite")

    def test_on_postgresql_with_three_coordinators(self):
        self.play("postgresql")

    def play(self, store):
        faults = [*chaos.OTHERS, *sorted(set(chaos.kills_of(store))), "kill_worker", "kill_coordinator"]
        wanted = len(faults)
        random.Random(1).shuffle(faults)
        played = chaos.play(store, faults, seed=1, items=ITEMS)
        self.assertEqual(sum(played.faults.values()), wanted)
        self.assertGreater(played.refetched, 0, "no changing item was fetched twice: a double could not have shown")


if __name__ == "__main__":
    unittest.main()
