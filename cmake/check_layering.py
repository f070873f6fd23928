#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a folder includes a folder that it may not include.

usage: check_layering.py ROOT | check_layering.py --self-test

The table is the one of docs/architecture.md: an entry grants a folder, a folder
below one ("runtime/network"), or one header.
"""
import pathlib
import re
import sys
import tempfile

EXTENSION = {"os", "proto", "runtime/extension.h", "runtime/types.h"}
ALLOWED = {
    "os": set(),
    "proto": set(),
    "image": {"os", "proto"},
    "runtime": {"os", "proto"},
    "quota": EXTENSION,
    "lxcfs_bridge": EXTENSION,
    "rich_container": EXTENSION,
    "upgrade": EXTENSION | {"image/image_service.h", "runtime/services.h",
                            "quota/project_quota.h"},
    "cri": {"os", "proto", "image", "runtime", "quota", "lxcfs_bridge",
            "rich_container", "upgrade"},
    "ctl": {"os", "proto"},
}
# The monitor outlives daemons and exists once per container: libc, its own
# sources and its protocol, nothing else. The helper programs likewise.
LIBC_ONLY = {
    "runtime/monitor/program": {"runtime/monitor/program",
                                "runtime/monitor/protocol.h"},
    "os/helper": {"os/helper"},
    "image/unpack": {"image/unpack"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
SYSTEM = re.compile(r'^\s*#\s*include\s+[<"]((?:absl|grpcpp|google|spdlog)/[^">]+)',
                    re.M)


def libc_only_folder(path):
    for folder, allowed in LIBC_ONLY.items():
        if path.startswith(folder + "/") and not path.endswith("_test.cc"):
            return allowed
    return None


def granted(include, allowed):
    return any(include == a or include.startswith(a + "/") for a in allowed)


def check(root):
    bad = []
    for folder, allowed in ALLOWED.items():
        base = root / folder
        for path in sorted([*base.rglob("*.h"), *base.rglob("*.cc")]):
            name = str(path.relative_to(root))
            text = path.read_text(encoding="utf-8", errors="replace")
            narrow = libc_only_folder(name)
            if narrow is not None:
                for include in INCLUDE.findall(text):
                    if not granted(include, narrow):
                        bad.append(f"{name} must not include {include}: "
                                   "this program is libc only")
                for include in SYSTEM.findall(text):
                    bad.append(f"{name} must not include {include}: "
                               "this program is libc only")
                continue
            for include in INCLUDE.findall(text):
                top = include.split("/")[0]
                if top == "tests":
                    if not (name.endswith("_test.cc")
                            and include.startswith("tests/support/")):
                        bad.append(f"{name} must not include {include}")
                elif top in ALLOWED and top != folder:
                    if not granted(include, allowed):
                        bad.append(f"{name} must not include {include}")
    return bad


def self_test():
    """The check can fail: each wrong include is found, each right one passes."""
    cases = {
        "os/a.h": ('#include "runtime/types.h"', True),
        "image/b.cc": ('#include "os/files.h"', False),
        "image/c.cc": ('#include "runtime/types.h"', True),
        "quota/d.cc": ('#include "runtime/extension.h"', False),
        "quota/e.cc": ('#include "runtime/services.h"', True),
        "cri/f.cc": ('#include "ctl/x.h"', True),
        "runtime/monitor/program/g.cc": ('#include "absl/strings/cord.h"', True),
        "runtime/h.cc": ('#include "tests/support/x.h"', True),
        "runtime/i_test.cc": ('#include "tests/support/x.h"', False),
    }
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, (line, _) in cases.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(line + "\n")
        found = {line.split(" ")[0] for line in check(root)}
    wanted = {name for name, (_, wrong) in cases.items() if wrong}
    if found != wanted:
        print(f"self-test: found {sorted(found)}, wanted {sorted(wanted)}")
        return 1
    return 0


if sys.argv[1:] == ["--self-test"]:
    sys.exit(self_test())
violations = check(pathlib.Path(sys.argv[1]))
print("\n".join(violations), end="\n" if violations else "")
sys.exit(bool(violations))
