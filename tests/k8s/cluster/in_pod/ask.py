#!/usr/bin/python3
"""A client that posts small requests all the while: nothing of it asks again, so whatever fails is seen.

    ask.py http://imgfleet-gateway:8080 http://images.example/small

Two keep one connection for as long as the gateway lets them, two open a new one for each request; by turns they post images_info with
one to three URLs below the second argument, and get one image. Each request is one line of JSON on stdout: when it began (`at`,
seconds of the wall clock), how long it took, `what` and `how`, the outcomes it brought, and `problem`: null, or why it is a failed
one. Ends with its stdin.
"""

import http.client
import itertools
import json
import sys
import threading
import time
import urllib.parse

TIMEOUT_SECONDS = 60  # The longest that a client would wait.
PAUSE_SECONDS = 0.1


class Client:
    """One client: its requests one after the other."""

    def __init__(self, gateway, below, name, keeps):
        self.host = urllib.parse.urlsplit(gateway).netloc
        self.below, self.name, self.keeps = below, name, keeps
        self.connection = None
        self.numbers = itertools.count()

    def urls(self, count):
        return [f"{self.below}/{self.name}/{next(self.numbers)}.jpg" for _ in range(count)]

    def post(self, count):
        urls = self.urls(count)
        status, body = self.exchange("POST", "/api/v1/images_info", json.dumps({"urls": urls}),
                                     {"Content-Type": "application/json", "Accept": "application/x-ndjson"})
        outcomes = [json.loads(line) for line in body.splitlines()] if status == 200 else []
        if sorted(outcome["url"] for outcome in outcomes) != sorted(urls):
            raise ValueError(f"{status} {body[:300]!r}")
        return outcomes

    def get(self):
        """What cannot be measured is another status, with the outcome in it: that answers the request, too."""
        url, = self.urls(1)
        status, body = self.exchange("GET", "/api/v1/image?url=" + urllib.parse.quote(url, safe=""), None, {})
        answer = json.loads(body)
        outcome = answer if status == 200 else answer.get("outcome")
        if not outcome or outcome["url"] != url:
            raise ValueError(f"{status} {body[:300]!r}")
        return [outcome]

    def exchange(self, method, path, body, headers):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_SECONDS)
        if not self.keeps:
            headers = {**headers, "Connection": "close"}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.will_close:
            self.hang_up()
        return answer.status, content

    def hang_up(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def ask(self, number):
        """One request, as a line for the record."""
        count = number % 4
        begun, since = time.time(), time.monotonic()
        outcomes, problem = [], None
        try:
            outcomes = self.post(count) if count else self.get()
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
            self.hang_up()
        return {"at": begun, "seconds": time.monotonic() - since, "what": "POST images_info" if count else "GET image",
                "how": "kept" if self.keeps else "new", "outcomes": outcomes, "problem": problem}


def run(client, stop, say):
    for number in itertools.count():
        say(json.dumps(client.ask(number)))
        if stop.wait(PAUSE_SECONDS):
            return


def main():
    gateway, below = sys.argv[1:]
    stop, lock = threading.Event(), threading.Lock()

    def say(line):
        with lock:
            print(line, flush=True)

    threads = [threading.Thread(target=run, args=(Client(gateway, below, f"client-{n}", keeps=n % 2 == 0), stop, say))
               for n in range(4)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
