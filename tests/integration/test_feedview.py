#!/usr/bin/env python3
"""The checker of the storms (tests/cluster/harness/feedview.py) notices each way in which a view can be wrong."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../cluster"))
from harness.feedview import View, parse_list  # noqa: E402

TREE = """d 2 4096 T1 d1
f 1 10 T1 d1/f1
f 1 20 T2 d1/f2
f 2 5 T2 d1/h1
l 1 7 T1 s1
f 1 1 T1 .efs-sidecar/board"""

# changes that a consumer was told, and what the checker must say to that: a part of each sentence
CASES = (
    ("nothing happened", [], []),
    ("a file that is not there", [{"op": "create", "path": "d1/f9"}], ["d1/f9: told to exist, does not"]),
    ("a delete that was not", [{"op": "delete", "path": "d1/f1"}], ["d1/f1: exists, was not told"]),
    ("a directory deleted with all in it", [{"op": "delete", "path": "d1"}],
     ["d1: exists", "d1/f1: exists", "d1/f2: exists", "d1/h1: exists"]),
    ("old attributes", [{"op": "modify", "path": "d1/f1", "size": 9, "mtime": "T0"}], ["d1/f1: told 9 bytes of T0, is 10 of T1"]),
    ("attributes that nobody knew", [{"op": "modify", "path": "d1/f1"}], []),
    ("old attributes of a file with several names", [{"op": "modify", "path": "d1/h1", "size": 9, "mtime": "T0"}], []),
    ("another type", [{"op": "create", "path": "d1/f1", "dir": True}], ["d1/f1: told to be a directory, is of type f"]),
    ("a rename that was not", [{"op": "rename", "from": "d1/f1", "path": "d1/f3", "size": 10, "mtime": "T1"}],
     ["d1/f3: told to exist", "d1/f1: exists, was not told"]),
    ("a directory moved away", [{"op": "rename", "from": "d1", "path": "d2", "dir": True}],
     ["d2: told to exist", "d2/f1: told", "d2/f2: told", "d2/h1: told", "d1: exists", "d1/f1: exists", "d1/f2: exists", "d1/h1: exists"]),
    ("a rename from where we know nothing, and what lies there", [{"op": "delete", "path": "d1"},
                                                                  {"op": "rename", "from": "x", "path": "d1", "dir": True}], []),
    ("a resync that nothing follows", [{"op": "resync", "path": "", "reason": "overflow"}],
     ["d1: exists", "d1/f1: exists", "d1/f2: exists", "d1/h1: exists", "s1: exists"]),
    ("a resync of a part, followed up", [{"op": "resync", "path": "d1", "reason": "overflow"}, {"op": "create", "path": "d1/f1"},
                                         {"op": "create", "path": "d1/f2"}, {"op": "create", "path": "d1/h1"}], []),
    ("a blind part", [{"op": "resync", "path": "d1", "reason": "blind"}], ["d1: exists", "d1/f1", "d1/f2", "d1/h1"]),
)


def main():
    failed, tree = 0, parse_list(TREE)
    print(f"1..{len(CASES)}")
    for number, (name, changes, expected) in enumerate(CASES, 1):
        view = View()
        view.start(tree)
        for change in changes:
            view.apply(change)
        said = view.differences(tree)
        good = len(said) == len(expected) and all(any(sentence.startswith(part) for sentence in said) for part in expected)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}" + ("" if good else f": {said}"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
