#!/usr/bin/python3
"""imgfleet-parquet by itself: files of all types, codecs, encodings and layouts that pyarrow writes are read row for row; a
file that is bad, cut, flipped or a bomb ends in one message, soon and within its memory."""

import os
import random
import struct
import sys
import tempfile
import unittest

sys.path[:0] = ["tests/lists"]
import parquet_files as files  # noqa: E402

pa = files.pyarrow
URLS = ["http://h/1", None, "http://h/ü", "", "http://h/5"] * 50
IDS = ["a", "b", None, "", "e"] * 50


def expected(ids, urls):
    return [((i if i is not None else "").encode() if not isinstance(i, int) else str(i).encode(),
             None if u is None else u.encode(), False) for i, u in zip(ids, urls)]


class ReaderTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name

    def file(self, columns, **options):
        return files.write(os.path.join(self.folder, "list.parquet"), columns, **options)

    def check(self, columns, ids, urls, options=None, **how):
        reading = files.read(self.file(columns, **(options or {})), **how)
        self.assertEqual(reading.end, len(urls), columns)
        self.assertEqual(reading.rows, expected(ids, urls))

    def refused(self, message, columns, options=None, **how):
        reading = files.read(self.file(columns, **(options or {})), **how)
        self.assertIn(message, str(reading.end))
        self.assertEqual(reading.rows, [])

    def test_types_of_text(self):
        for type_ in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view(),
                      pa.dictionary(pa.int32(), pa.string())):
            with self.subTest(type=str(type_)):
                strings = [pa.array([None if v is None else v.encode() for v in values], pa.binary())
                           if "binary" in str(type_) else pa.array(values) for values in (IDS, URLS)]
                self.check({"id": strings[0].cast(type_), "url": strings[1].cast(type_)}, IDS, URLS)
        self.check({"url": pa.array([b"abc", b"def"], pa.binary(3))}, ["", ""], ["abc", "def"])

    def test_types_of_ids(self):
        for type_ in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()):
            bits, signed = type_.bit_width, "u" not in str(type_)
            ids = [0, 1, 2 ** (bits - signed) - 1, None] + ([-1, -2 ** (bits - 1)] if signed else [])
            with self.subTest(type=str(type_)):
                self.check({"id": pa.array(ids, type_), "url": ["u"] * len(ids)},
                           ["" if i is None else i for i in ids], ["u"] * len(ids))
        uuid = bytes(range(16))
        storage = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid], pa.binary(16)))
        self.check({"id": storage, "url": ["u"]}, ["00010203-0405-0607-0809-0a0b0c0d0e0f"], ["u"])

    def test_codecs_encodings_and_layouts(self):
        columns = {"before": [[i, i] for i in range(250)], "id": IDS, "struct": [{"url": "no", "id": i} for i in range(250)],
                   "url": URLS, "after": [float(i) for i in range(250)]}
        for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
            for version in ("1.0", "2.0"):
                with self.subTest(codec=codec, version=version):
                    self.check(columns, IDS, URLS, {"compression": codec, "data_page_version": version,
                                                    "row_group_size": 77, "write_page_checksum": True})
        for encoding in ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"):
            with self.subTest(encoding=encoding):
                self.check({"id": IDS, "url": URLS}, IDS, URLS,
                           {"use_dictionary": False, "column_encoding": {"id": encoding, "url": encoding}, "data_page_size": 64})
        for encoding in ("DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"):
            self.check({"id": list(range(250)), "url": URLS}, list(range(250)), URLS,
                       {"use_dictionary": ["url"], "column_encoding": {"id": encoding}})
        self.check({"id": IDS, "url": URLS}, IDS, URLS, {"use_dictionary": True, "dictionary_pagesize_limit": 16})
        required = pa.table({"url": ["a", "b"]}, pa.schema([pa.field("url", pa.string(), nullable=False)]))
        path = os.path.join(self.folder, "required.parquet")
        files.pyarrow.parquet.write_table(required, path)
        self.assertEqual(files.read(path).rows, expected(["", ""], ["a", "b"]))

    def test_empty_files_and_all_nulls(self):
        self.check({"id": pa.array([], pa.string()), "url": pa.array([], pa.string())}, [], [])
        self.check({"url": pa.array([None] * 5000, pa.string())}, [None] * 5000, [None] * 5000)

    def test_columns_are_found_by_name(self):
        self.check({"link": ["u"], "sku": [7]}, [7], ["u"], url="link", id_="sku", required=True)
        self.check({"link": ["u"]}, ["u"], ["u"], url="link", id_="link")
        self.check({"url": ["u"], "Id": ["x"]}, [""], ["u"])
        self.refused('no column "url" but "link", "n"', {"link": ["u"], "n": [1]})
        self.refused('no column "sku" but "url"', {"url": ["u"]}, id_="sku", required=True)
        for columns, message in (({"url": [1]}, "holds INT64, and URLs are text"), ({"url": [["u"]]}, "is nested"),
                                 ({"url": [{"a": "u"}]}, "is nested"), ({"url": [1.5]}, "URLs are text"),
                                 ({"url": ["u"], "id": [1.5]}, "ids are text or whole numbers"),
                                 ({"url": ["u"], "id": [True]}, "ids are text or whole numbers"),
                                 ({"url": ["u"], "id": pa.array([1], pa.timestamp("us"))}, "ids are text or whole numbers"),
                                 ({"url": ["u"], "id": pa.array([1], pa.date32())}, "ids are text or whole numbers")):
            with self.subTest(message=message, columns=str(columns)):
                self.refused(message, columns)
        twice = pa.Table.from_arrays([pa.array(["u"]), pa.array(["v"])], names=["url", "url"])
        path = os.path.join(self.folder, "twice.parquet")
        files.pyarrow.parquet.write_table(twice, path)
        self.assertIn('the column "url" twice', files.read(path).end)

    def test_rows_that_are_too_long(self):
        urls = ["short", "x" * 70_000, "short"]
        reading = files.read(self.file({"url": urls}))
        self.assertEqual(reading.rows, [(b"", b"short", False), (b"", b"", True), (b"", b"short", False)])

    def test_a_million_rows_take_no_more_memory_than_a_tenth_of_them(self):
        peaks = []
        for rows in (100_000, 1_000_000):
            path = self.file({"id": [f"item-{i}" for i in range(rows)],
                              "url": [f"https://images{i % 97}.example.com/{i * 7919 % 1000003}/image-{i}.jpg" for i in range(rows)]})
            out, peak = files.peak_memory(path)
            self.assertGreater(out, rows * 40)
            peaks.append(peak)
        print(f"peak of 100,000 rows {peaks[0] >> 20} MiB, of a million {peaks[1] >> 20} MiB")
        self.assertLess(peaks[1], peaks[0] + (16 << 20))

    def test_bombs_end_in_a_message(self):
        # One page of 400 MB, compressed to nothing.
        path = self.file({"url": ["\0" * 65_000] * 6200}, compression="zstd", use_dictionary=False, data_page_size=1 << 30,
                         write_batch_size=10_000, write_statistics=False)
        self.assertLess(os.path.getsize(path), 1 << 20)
        reading = files.read(path, memory=64 << 20)
        self.assertIn("MiB of memory", str(reading.end))
        # Twenty million rows, all the same, in a few hundred bytes.
        path = self.file({"url": pa.nulls(20_000_000, pa.string())}, write_statistics=False, row_group_size=20_000_000,
                         max_rows_per_page=20_000_000)
        self.assertLess(os.path.getsize(path), 19_000)
        self.assertIn("promises 20000000 rows", files.read(path).end)

    def test_what_is_no_parquet(self):
        path = os.path.join(self.folder, "no.parquet")
        for content, message in ((b"", "too short"), (b"id\turl\n1\thttp://h/1\n", "does not begin as Parquet"),
                                 (b"PAR1" + bytes(100), "cut off or damaged"), (b"PARE" + bytes(100) + b"PARE", "encrypted"),
                                 (b"PAR1" + bytes(100) + struct.pack("<I", 1 << 31) + b"PAR1", "damaged"),
                                 (b"PAR1" + b"\x19" * 100 + struct.pack("<I", 100) + b"PAR1", "damaged")):
            with open(path, "wb") as file:
                file.write(content)
            with self.subTest(message=message):
                self.assertIn(message, str(files.read(path).end))

    def test_mutations_end_in_rows_or_one_message(self):
        path = os.path.join(self.folder, "base.parquet")
        bases = []
        for options in ({"compression": "snappy"}, {"compression": "none", "use_dictionary": False},
                        {"compression": "zstd", "data_page_version": "2.0", "write_page_checksum": True}):
            files.write(path, {"id": list(range(60)), "url": [f"http://h/{i % 20}" for i in range(60)]},
                        row_group_size=30, store_schema=False, **options)
            with open(path, "rb") as file:
                bases.append(file.read())
        seeds = int(os.environ.get("IMGFLEET_TEST_SEEDS", "300"))
        ends = {"rows": 0, "message": 0, "death": 0}
        running = []

        def settle(number, popen):
            reading = files.finish(popen)
            os.unlink(f"{path}.{number}")
            if reading.code != 0:
                self.assertIn(reading.code, files.DEATHS, f"mutation {number}")
            kind = "death" if reading.code != 0 else "rows" if isinstance(reading.end, int) else "message"
            ends[kind] += 1

        for number in range(seeds):
            mutated = self.mutate(random.Random(number), bases[number % len(bases)])
            with open(f"{path}.{number}", "wb") as file:
                file.write(mutated)
            running.append((number, files.start(f"{path}.{number}")))
            if len(running) >= 3:
                settle(*running.pop(0))
        for number, popen in running:
            settle(number, popen)
        print(f"mutations that ended in {ends}")
        self.assertGreater(ends["message"], seeds / 10)
        self.assertEqual(ends["death"], 0)

    @staticmethod
    def mutate(rng, base):
        data = bytearray(base)
        kind = rng.randrange(5)
        if kind == 0:  # Cut, its tail put back so that the footer is looked for.
            data = data[:rng.randrange(12, len(data) - 8)] + data[-8:]
        elif kind == 1:  # A run out of the middle.
            at = rng.randrange(4, len(data) - 40)
            del data[at:at + rng.randrange(1, 32)]
        else:  # Bytes flipped, half of the time in the footer.
            footer = struct.unpack_from("<I", data, len(data) - 8)[0]
            first = len(data) - 8 - footer if kind == 2 or rng.random() < 0.5 else 4
            for _ in range(rng.randrange(1, 5)):
                data[rng.randrange(first, len(data) - 4)] ^= 1 << rng.randrange(8)
        return bytes(data)


if __name__ == "__main__":
    unittest.main()
