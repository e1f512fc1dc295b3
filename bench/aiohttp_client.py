#!/usr/bin/python3
"""The client one would write in an afternoon: aiohttp fetches, Pillow reads the header. aiohttp_client.py URL_FILE [IN_FLIGHT] [CA_FILE]

It reads whole bodies, since their size is asked for. Prints one line of JSON.
"""

import asyncio
import io
import json
import ssl
import sys

import aiohttp
from PIL import Image


async def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        urls = iter(lines.read().split())
    in_flight = int(sys.argv[2]) if len(sys.argv) > 2 else 128
    trust = ssl.create_default_context(cafile=sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] else None
    totals = {"items": 0, "ok": 0, "fetched_bytes": 0}

    async def work(session):
        for url in urls:
            totals["items"] += 1
            try:
                async with session.get(url, ssl=trust) as response:
                    body = await response.read()
                totals["fetched_bytes"] += len(body)
                with Image.open(io.BytesIO(body)) as image:
                    totals["ok"] += response.status == 200 and min(image.size) > 0
            except (aiohttp.ClientError, OSError):
                pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:
        await asyncio.gather(*[work(session) for _ in range(in_flight)])
    print(json.dumps(totals))


asyncio.run(main())
