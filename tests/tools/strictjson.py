#!/usr/bin/env python3
"""Reads what --json prints as strictly as JSON is written, and holds its keys against cli/JSON.md.

strictjson.py lines|document FILE JSON.md: every line an object with a message_type, or one document. Keys that the page does not
name, a key twice, NaN, bytes that are not UTF-8 and anything after the end are refused. Free names (libraries) are let through.
"""
import json
import re
import sys


def once(pairs):
    seen = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"key twice: {key}")
        seen[key] = value
    return seen


def no_constant(name):
    raise ValueError(f"not JSON: {name}")


def load(text):
    return json.loads(text, object_pairs_hook=once, parse_constant=no_constant)


def check_keys(value, known, free=False):
    if isinstance(value, list):
        for item in value:
            check_keys(item, known)
    if isinstance(value, dict):
        for key, item in value.items():
            if not free and key not in known:
                raise ValueError(f"cli/JSON.md does not name {key}")
            check_keys(item, known, free=key == "libraries")


def main():
    kind, path, page = sys.argv[1:]
    known = {"message_type", "code", "message", "error"}
    with open(page, encoding="utf-8") as f:
        for words in re.findall(r"`([a-zA-Z0-9_.]+)`", f.read()):
            known.update(words.split("."))
    with open(path, encoding="utf-8", errors="strict") as f:
        text = f.read()
    if not text.endswith("\n"):
        raise ValueError("no newline at the end")
    documents = [text] if kind == "document" else text.splitlines()
    for document in documents:
        value = load(document)
        if kind == "lines" and not isinstance(value.get("message_type"), str):
            raise ValueError(f"no message_type: {document}")
        check_keys(value, known)


main()
