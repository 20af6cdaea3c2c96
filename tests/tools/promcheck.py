#!/usr/bin/env python3
"""promcheck.py FILE: is this what node_exporter's textfile collector reads? Every sample under the HELP and TYPE of its own
name, each family in one piece, labels escaped, no sample twice."""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"^({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)\}})? ([-+0-9.eE]+|NaN|[+-]Inf)$")

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
assert text.endswith("\n"), "the last line has no end"
helped, typed, seen, current = set(), set(), set(), None
for line in text.splitlines():
    if line.startswith("# HELP "):
        current = line.split(" ", 3)[2]
        assert current not in helped and len(line.split(" ", 3)) == 4, line
        helped.add(current)
    elif line.startswith("# TYPE "):
        name, kind = line.split(" ")[2:]
        assert name == current and name not in typed and kind in ("gauge", "counter"), line
        typed.add(name)
    else:
        match = SAMPLE.match(line)
        assert match, line
        assert match[1] == current and current in typed, line
        assert (match[1], match[2]) not in seen, line
        seen.add((match[1], match[2]))
        float(match[3])
assert seen, "no sample"
