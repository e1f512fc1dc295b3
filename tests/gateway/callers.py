"""Clients that ask for small things without pause, and note each request that was not answered as it should be."""

import http.client
import json
import threading
import time
import urllib.parse

import harness


class Callers:
    """Asks host:port for the measurement of `url`, a PNG of 30 by 20, in threads of its own: half of them post it, half get it;
    of each, half keep their connection. No request is ever tried again."""

    def __init__(self, port, url, count=4, timeout=60):
        self.port, self.url, self.timeout = port, url, timeout
        self.lock = threading.Lock()
        self.answered, self.failures = 0, []
        self.slowest = 0.0  # Seconds that an answer took.
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._call, args=(i % 2 == 0, i // 2 % 2 == 0), daemon=True)
                        for i in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def await_more(self, count):
        """Until so many more were answered."""
        wanted = self.answered + count
        harness.until(lambda: self.answered >= wanted, f"{count} more answers")

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(self.timeout + 10)
        assert not any(thread.is_alive() for thread in self.threads)

    def _call(self, post, keep):
        connection = None
        while not self.ending.is_set():
            if connection is None or not keep:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
            began = time.monotonic()
            try:
                wrong = self._ask(connection, post)
            except (OSError, http.client.HTTPException) as error:
                wrong = repr(error)
            if not keep or wrong:
                connection.close()
            with self.lock:
                self.answered += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                if wrong:
                    self.failures.append(f"{'POST' if post else 'GET'}, {'kept' if keep else 'new'} connection: {wrong}")
        connection.close()

    def _ask(self, connection, post):
        """What is wrong with the answer; None where nothing is."""
        if post:
            connection.request("POST", "/api/v1/images_info", json.dumps({"urls": [self.url]}),
                               {"Content-Type": "application/json"})
        else:
            connection.request("GET", "/api/v1/image?url=" + urllib.parse.quote(self.url, safe=""))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200:
            outcome = json.loads(body)
            size = outcome["0"].get("image_info", {}).get("image_dimension") if post else [outcome["width"], outcome["height"]]
            if size == [30, 20]:
                return None
        return f"{answer.status} {body.decode()}"
