#!/usr/bin/python3
"""No statement that awaits holds a conditional expression: g++ 12 destroys its temporaries once too often.

    co_await Send(ok ? Make() : other);        // Make()'s value is destroyed even where `other` was chosen
"""

import re
import sys

import tree

NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def problems(top, paths):
    found = []
    for path in paths:
        if not path.endswith((".cc", ".h")):
            continue
        text = tree.read(top, path) or ""
        if "co_await" not in text:
            continue
        code = NOISE.sub(lambda noise: "\n" * noise.group().count("\n"), text)
        line = 1
        for statement in re.split(r"([;{}])", code):
            if "co_await" in statement and re.search(r"[^?]\?[^?]", statement):
                blank = statement[:len(statement) - len(statement.lstrip())]
                found.append(f"{path}:{line + blank.count(chr(10))}: a conditional expression in a statement that awaits; choose first, then await")
            line += statement.count("\n")
    return found


if __name__ == "__main__":
    sys.exit(tree.run(problems))
