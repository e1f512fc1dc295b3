#!/usr/bin/python3
"""`prod` with a list of 5,005 rows in work: PostgreSQL in a pod, three coordinators of which one is deleted with no grace every ten
seconds, and workers scaled meanwhile.

tests/k8s/run.py prod_test starts it.
"""

import threading
import unittest

import kube
from play import Play, reference
from stage import TOP, Stage

PERIOD_SECONDS = 10


class Deleter(threading.Thread):
    """Deletes one coordinator after the other."""

    def __init__(self, stage):
        super().__init__(daemon=True)
        self.stage = stage
        self.deleted = []
        self.error = None
        self.stop = threading.Event()

    def run(self):
        try:
            while not self.stop.wait(PERIOD_SECONDS):
                oldest = min(self.stage.pods("coordinator"), key=lambda pod: pod["metadata"]["creationTimestamp"])
                self.stage.delete(oldest)
                self.deleted.append(oldest["metadata"]["name"])
        except kube.Refused as error:
            self.error = error

    def finish(self):
        self.stop.set()
        self.join()
        if self.error is not None:
            raise self.error


class ProdTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        namespace = kube.make_namespace(cls, "imgfleet-prod")
        secrets = kube.run([str(TOP / "tests/k8s/overlays/prod/make_secrets.py")])
        kube.kubectl("--namespace", namespace, "apply", "-f", "-", stdin=secrets)
        host, urls = reference()
        cls.stage = Stage("prod", namespace, host, concurrency=8)
        cls.stage.build()
        with Play(cls.stage, urls) as cls.play:
            cls.perform()
            cls.play.compare()
        cls.record = cls.play.record
        print("\n".join(cls.record.table()))
        print(f"{len(cls.deleter.deleted)} coordinators deleted; the record: {cls.play.save('prod')}")

    @classmethod
    def perform(cls):
        stage, play = cls.stage, cls.play
        play.act("2 workers", lambda: stage.scale(2), "worker", outcomes=100)
        cls.deleter = Deleter(stage)
        cls.deleter.start()
        try:
            play.act("8 workers", lambda: stage.scale(8), "worker", outcomes=1500)
            play.act("3 workers", lambda: stage.scale(3), "worker", outcomes=400)
            play.act("6 workers", lambda: stage.scale(6), "worker", outcomes=600)
            play.run_out()
        finally:
            cls.deleter.finish()

    def test_every_item_has_one_true_outcome(self):
        self.assertEqual(self.play.problems, [])

    def test_coordinators_were_deleted_all_the_while(self):
        self.assertGreaterEqual(len(set(self.deleter.deleted)), 6)

    def test_items_a_second_follow_the_workers(self):
        two, eight, three, six = (self.record.rate(self.record.act(f"{count} workers")) for count in (2, 8, 3, 6))
        self.assertGreater(eight, 2 * two)
        self.assertGreater(eight, 1.5 * three)
        self.assertGreater(six, 1.3 * three)

    def test_small_requests_are_answered_though_coordinators_die(self):
        failed, asked = self.record.failed(), len(self.record.requests)
        print(f"{len(failed)} of {asked} small requests failed: {[each['problem'] for each in failed[:5]]}")
        self.assertLess(len(failed), asked / 20)


if __name__ == "__main__":
    unittest.main()
