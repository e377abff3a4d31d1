"""Autobahn's cases, run as a client against a server that says back what it is told.

    autobahn.py URL CASE...      prints one JSON document: how many cases came out how, and those that are not as they should be
"""

import asyncio
import collections
import json
import os
import sys

from kosoku import FailureError, run_fuzzingclient

PARALLEL = 4


async def run(url: str, cases: list[str]) -> dict:
    try:
        results = await run_fuzzingclient(url, cases, concurrency=PARALLEL)
    except FailureError as failure:
        results = failure.results
    counted = collections.Counter(one.behavior.value for one in results)
    closed = collections.Counter(one.behavior_close.value for one in results)
    good = {"OK", "INFORMATIONAL", "UNIMPLEMENTED"}
    wrong = [
        {
            "case": one.case_id,
            "behavior": one.behavior.value,
            "close": one.behavior_close.value,
            "result": one.result,
            "result_close": one.result_close,
            "ms": one.duration,
        }
        for one in results
        if one.behavior.value not in good or one.behavior_close.value not in good
    ]
    slowest = max(results, key=lambda one: one.duration)
    return {
        "cases": len(results),
        "behavior": counted,
        "close": closed,
        "wrong": wrong,
        "slowest": [slowest.case_id, slowest.duration],
    }


print(json.dumps(asyncio.run(run(sys.argv[1], sys.argv[2:]))), flush=True)
# All is told. The package's own threads outlive the interpreter, which aborts now and then when it is taken down under them.
os._exit(0)
