#!/usr/bin/python3
"""Each fault of `make chaos` once or twice, on jobs that are smaller."""

import random
import sys
import unittest

sys.path[:0] = ["tests/chaos"]
import chaos  # noqa: E402

ITEMS = 6000
FAULTS = [*chaos.OTHERS, *sorted(set(chaos.KILLS)), "kill_worker", "kill_coordinator", "kill_gateway"]


class ChaosTest(unittest.TestCase):
    def test_every_item_has_exactly_one_true_outcome(self):
        faults = list(FAULTS)
        random.Random(1).shuffle(faults)
        played = chaos.play(faults, seed=1, items=ITEMS)
        self.assertEqual(sum(played.faults.values()), len(FAULTS))
        self.assertGreater(played.refetched, 0, "no changing item was fetched twice: a double could not have shown")


if __name__ == "__main__":
    unittest.main()
