#!/usr/bin/python3
"""The test origin keeps to HTTP, and its images are what they say they are: other tests lean on both."""

import gzip
import hashlib
import http.client
import io
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, "tests/origin")
import images  # noqa: E402
from PIL import Image  # noqa: E402


def start(*arguments):
    process = subprocess.Popen(["/usr/bin/python3", "tests/origin/origin.py", *arguments], stdout=subprocess.PIPE)
    return process, json.loads(process.stdout.readline())


class OriginTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.list = cls.scratch.name + "/list.tsv"
        with open(cls.list, "w", encoding="utf-8") as file:
            file.write("id\turl\r\n" + "".join(f"{i}\thttps://img.example/{i}.jpg\r\n" for i in range(1000)))
        cls.process, cls.ready = start("--list", cls.list, "--https", "0", "--host", "img.example", "--tls-dir",
                                       cls.scratch.name, "--images", "60")

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait(10)
        cls.process.stdout.close()
        cls.scratch.cleanup()

    def setUp(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", self.ready["http"], timeout=10)
        self.addCleanup(self.connection.close)

    def get(self, path, **headers):
        self.connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = self.connection.getresponse()
        return response, response.read()

    def log(self, path):
        _, body = self.get("/_origin/log")
        return [row for row in map(json.loads, body.splitlines()) if row["path"] == path]

    def steady(self):
        """A path whose image stays the same."""
        for i in range(1000):
            response, body = self.get(f"/{i}.jpg")
            if response.status == 200 and response.headers["ETag"].endswith('-0"') and len(body) > 1000:
                return f"/{i}.jpg", response, body
        return self.fail("no steady path")

    def test_ranges_and_validators(self):
        path, whole, body = self.steady()
        tag = whole.headers["ETag"]
        self.assertEqual(int(whole.headers["Content-Length"]), len(body))
        part, piece = self.get(path, Range="bytes=10-99")
        self.assertEqual((part.status, piece), (206, body[10:100]))
        self.assertEqual(part.headers["Content-Range"], f"bytes 10-99/{len(body)}")
        self.assertEqual(self.get(path, Range="bytes=-5")[1], body[-5:])
        self.assertEqual(self.get(path, Range=f"bytes=0-{len(body) * 2}")[1], body)
        beyond, _ = self.get(path, Range=f"bytes={len(body)}-")
        self.assertEqual((beyond.status, beyond.headers["Content-Range"]), (416, f"bytes */{len(body)}"))
        self.assertEqual(self.get(path, Range="bytes=0-9", If_Range=tag)[0].status, 206)
        self.assertEqual(self.get(path, Range="bytes=0-9", If_Range='"other"')[0].status, 200)
        self.assertEqual(self.get(path, If_None_Match=tag)[0].status, 304)

    def test_shares_of_trouble_and_the_record_of_it(self):
        statuses, changing = {}, None
        for i in range(1000):
            response, first = self.get(f"/{i}.jpg", Range="bytes=0-3")
            statuses[response.status] = statuses.get(response.status, 0) + 1
            if response.status == 206 and first != b"<!DO" and not response.headers["ETag"].endswith('-0"'):
                changing = f"/{i}.jpg", response.headers["ETag"]
        self.assertGreater(statuses[404], 20)
        self.assertGreater(statuses[500], 5)
        path, tag = changing
        # Going on with an answer gives more of the same; asking anew gives another image.
        again, _ = self.get(path, Range="bytes=4-9", If_Range=tag)
        self.assertEqual((again.status, again.headers["ETag"]), (206, tag))
        other, _ = self.get(path)
        self.assertNotEqual(other.headers["ETag"], tag)
        rows = self.log(path)
        self.assertEqual([row["status"] for row in rows[-3:]], [206, 206, 200])
        self.assertEqual(rows[-3]["etag"], tag)
        self.assertNotEqual((rows[-1]["width"], rows[-1]["height"]), (rows[-2]["width"], rows[-2]["height"]))
        self.assertEqual(self.get("/not-in-the-list.jpg")[0].status, 404)

    def test_a_query_chooses_how_a_body_comes(self):
        for i in range(1000):
            _, row = self.get(f"/{i}.jpg?as=whole"), self.log(f"/{i}.jpg?as=whole")[-1]
            if row["kind"] == "image":
                break
        for manner in ("whole", "gzip", "chunked", "cut"):
            response, body = self.get(f"/{i}.jpg?as={manner}", Range="bytes=0-9")
            if manner == "gzip":
                body = gzip.decompress(body)
            row = self.log(f"/{i}.jpg?as={manner}")[-1]
            self.assertEqual(response.status, 200)
            self.assertEqual((len(body), hashlib.sha256(body).hexdigest()), (row["size_bytes"], row["sha256"]))
        with self.assertRaises(http.client.IncompleteRead):
            self.get(f"/{i}.jpg?as=broken")

    def test_tls_answers_under_the_given_name(self):
        context = ssl.create_default_context(cafile=self.ready["ca_file"])
        with socket.create_connection(("127.0.0.1", self.ready["https"]), 10) as plain:
            with context.wrap_socket(plain, server_hostname="img.example") as secure:
                secure.sendall(b"GET /1.jpg HTTP/1.1\r\nHost: img.example\r\n\r\n")
                self.assertTrue(secure.recv(9).startswith(b"HTTP/1.1 "))

    def test_images_are_what_they_say(self):
        made = images.make_images(60)
        self.assertEqual({image.format for image in made}, set(images.FORMATS))
        unread = {"svg", "avif", "heic"}  # Not Pillow's.
        for image in made:
            if image.format in unread or (image.format == "cur" and b"\x89PNG" in image.body[:32]):
                continue
            with Image.open(io.BytesIO(image.body)) as opened:
                self.assertEqual((opened.size, opened.format), ((image.width, image.height),
                                                                images.FORMATS[image.format][2]), image.name)


if __name__ == "__main__":
    unittest.main()
