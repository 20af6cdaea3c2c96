#!/usr/bin/env python3
"""cov_branches.py BUILD LIST: the branches of core's key, record, pack and codec files that a --coverage build has not taken, function by
function, compared with LIST: lines "file:function: branches: reason". Fails when one has more than LIST allows."""
import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

FILES = """btree buf cells_cut cells_dec cells_dec_page cells_diff cells_enc cells_enc_page cells_layout cells_page cells_read
comp condemn damage drillnote err header id indexseg keyfile keys keyslot lineage manifest manifest_part node_list node_tree
pack pack_build pack_dir pack_move parity parity_code parity_mend parts record repoconf retire roster seal sha256 sightings sign
signrec slot sqlrec tagrec""".split()


def missed(build, name):
    """Function -> lines of branches that were not taken; a line as often as it has them. And the number of branches."""
    notes = (build / "core" / f"{name}.gcno").resolve()
    if not notes.exists():
        return None, 0
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["gcov", "--json-format", "--branch-probabilities", str(notes)], cwd=work, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        functions, total = collections.defaultdict(list), 0
        for found in pathlib.Path(work).glob("*.json.gz"):
            for file in json.load(gzip.open(found))["files"]:
                if file["file"].endswith(f"core/{name}.c"):
                    for line in file["lines"]:
                        for branch in line["branches"]:
                            total += 1
                            if branch["count"] == 0:
                                functions[line["function_name"]].append(line["line_number"])
    return functions, total


def main():
    build, allowed = pathlib.Path(sys.argv[1]), {}
    for text in open(sys.argv[2], encoding="utf-8"):
        if text.strip() and not text.startswith("#"):
            file, function, count, reason = (part.strip() for part in text.split(":", 3))
            allowed[file, function] = int(count), reason
    bad = branches = open_branches = 0
    for name in FILES:
        functions, total = missed(build, name)
        if functions is None:
            continue
        branches += total
        for function, lines in sorted(functions.items(), key=lambda item: item[1][0]):
            open_branches += len(lines)
            most, reason = allowed.get((f"core/{name}.c", function), (0, "not in the list"))
            if len(lines) > most:
                bad += 1
                print(f"core/{name}.c: {function}: {len(lines)}: {reason}; lines {' '.join(map(str, lines))}")
    print(f"{branches} branches, {open_branches} not taken, {bad} functions with more of them than {sys.argv[2]} allows")
    sys.exit(1 if bad else 0)


main()
