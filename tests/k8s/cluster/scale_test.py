#!/usr/bin/python3
"""`dev` with a list of 5,005 rows in work: workers scaled up and down and killed, every role restarted, the coordinator killed.

tests/k8s/run.py scale_test starts it. The record of it is kept; docs/images/scale.svg is drawn from one:

    tests/k8s/cluster/picture.py ~/.cache/imgfleet/k8s-records/scale.json > docs/images/scale.svg
"""

import unittest

import kube
from play import Play, reference
from stage import Stage

UNDISTURBED = ("1 worker", "8 workers", "2 workers", "6 workers", "restart workers", "restart gateway")


class ScaleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        namespace = kube.make_namespace(cls, "imgfleet-scale")
        host, urls = reference()
        cls.stage = Stage("dev", namespace, host)
        cls.stage.build()
        with Play(cls.stage, urls) as cls.play:
            cls.perform()
            cls.play.run_out()
            cls.play.compare()
        cls.record = cls.play.record
        print("\n".join(cls.record.table()))
        print("the record:", cls.play.save("scale"))

    @classmethod
    def perform(cls):
        stage, play = cls.stage, cls.play
        play.watch("1 worker", outcomes=80)
        one = {pod["status"]["podIP"] for pod in stage.pods("worker")}
        play.act("8 workers", lambda: stage.scale(8), "worker", outcomes=1400)
        cls.added = {pod["status"]["podIP"] for pod in stage.pods("worker")} - one
        play.act("2 workers", lambda: stage.scale(2), "worker", outcomes=200)
        play.act("6 workers", lambda: stage.scale(6), "worker", outcomes=400)
        play.act("delete 3 workers", lambda: stage.delete(*stage.pods("worker")[:3]), "worker", outcomes=250)
        play.act("restart workers", lambda: stage.restart("worker"), "worker", outcomes=200)
        play.act("restart gateway", lambda: stage.restart("gateway"), "gateway", outcomes=200)
        play.act("restart coordinator", lambda: stage.restart("coordinator"), "coordinator", outcomes=200)
        play.act("kill coordinator", cls.kill_coordinator, "coordinator", outcomes=200)

    @classmethod
    def kill_coordinator(cls):
        pod, = cls.stage.pods("coordinator")
        cls.stage.kill_container(pod)

    def test_every_item_has_one_true_outcome(self):
        self.assertEqual(self.play.problems, [])

    def test_items_a_second_follow_the_workers(self):
        one, eight, two, six = (self.record.rate(self.record.act(f"{name} worker{'s' * (name != '1')}")) for name in "1826")
        self.assertGreater(eight, 3 * one)
        self.assertGreater(eight, 2 * two)
        self.assertGreater(two, 1.2 * one)
        self.assertGreater(six, 1.5 * two)

    def test_new_workers_bring_outcomes(self):
        first = self.play.first_outcome_by(self.added)
        self.assertIsNotNone(first)
        self.assertLess(first, self.record.act("8 workers").ended)
        print(f"first outcome of a new worker: {first - self.record.act('8 workers').begun:.1f} s after kubectl scale")

    def test_no_small_request_fails_while_workers_and_gateways_come_and_go(self):
        self.assertGreater(len(self.record.requests), 500)
        self.assertEqual(self.record.failed(*map(self.record.act, UNDISTURBED)), [])

    def test_the_coordinator_was_killed(self):
        self.assertEqual(self.play.restarts("coordinator"), 1)


if __name__ == "__main__":
    unittest.main()
