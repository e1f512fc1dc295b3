#!/usr/bin/python3
"""What the tests on a node read from the record of a play, and the picture that is drawn from it."""

import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path[:0] = ["tests/k8s/cluster"]
import picture  # noqa: E402
from record import Act, Record  # noqa: E402


def request(at, seconds=1, problem=None):
    return {"at": at, "seconds": seconds, "what": "GET image", "how": "new", "problem": problem}


class RecordTest(unittest.TestCase):
    def setUp(self):
        self.slow = Act("2 workers", begun=100, settled=110, ended=120)
        self.kill = Act("kill & wait", begun=120, settled=121, ended=140)
        self.record = Record(acts=[self.slow, self.kill],
                             commits=[[105, 50], [112, 20], [118, 30], [119, 10], [131, 7], [132, 8]],
                             ready={"worker": [[90, 1], [108, 2]]},
                             requests=[request(110), request(119.5, problem="OSError: gone"), request(130)])

    def test_the_rate_counts_from_when_the_act_was_settled(self):
        self.assertEqual(self.record.rate(self.slow), (20 + 30 + 10) / 10)

    def test_silence_reaches_back_to_the_outcome_before_the_act_and_on_to_its_end(self):
        self.assertEqual(self.record.silence(self.kill), 131 - 119)
        self.record.commits = self.record.commits[:4]
        self.assertEqual(self.record.silence(self.kill), 140 - 119)

    def test_a_request_that_fails_is_charged_to_each_act_that_it_met(self):
        self.assertEqual(len(self.record.failed(self.slow)), 1)
        self.assertEqual(len(self.record.failed(self.kill)), 1)
        self.assertEqual(len(self.record.failed()), 1)
        self.record.requests[1]["seconds"] = 0.1
        self.assertEqual(self.record.failed(self.kill), [])

    def test_it_is_the_same_once_it_was_saved(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "a/record.json")
            self.record.save(path)
            self.assertEqual(Record.load(path), self.record)

    def test_the_table_has_a_line_an_act(self):
        lines = list(self.record.table())
        self.assertEqual(len(lines), 3)
        self.assertIn("12.0 s", lines[2])

    def test_the_picture_is_whole_and_names_the_acts(self):
        drawn = xml.etree.ElementTree.fromstring("\n".join(picture.Plot(self.record).svg()))
        texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("kill & wait", texts)
        self.assertEqual(picture.round_up(37), 40)
        self.assertEqual(picture.round_up(2), 2)
        self.assertEqual(picture.rates(self.record, 100, 140)[6], 20 / 3 / 2)


if __name__ == "__main__":
    unittest.main()
