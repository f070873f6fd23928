# SPDX-License-Identifier: Apache-2.0
"""What a node leaves in the kernel and on the disk, by kind, to be compared."""
import json
import os
import pathlib
import re
import sqlite3
import subprocess

from node import CGROUP


def processes():
    """All processes of this PID namespace, by command line, but ourselves."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            status = (entry / "status").read_text()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            continue  # it ended while we looked
        state = re.search(r"^State:\s+(\S)", status, re.M).group(1)
        name = command.decode(errors="replace").strip() or "[%s]" % re.search(
            r"^Name:\s+(\S+)", status, re.M).group(1)
        found.append(f"{name} {'zombie' if state == 'Z' else ''}".strip())
    return sorted(found)


def mounts():
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted(" ".join(line.split(" ")[3:5]) for line in lines)


def namespaces():
    """Namespaces that a process, a mount or we ourselves hold."""
    out = subprocess.run(["lsns", "-J", "-o", "TYPE,NS,NSFS"], check=True,
                         capture_output=True).stdout
    return sorted(f"{n['type']}:{n['ns']}"
                  for n in json.loads(out)["namespaces"])


def links():
    out = subprocess.run(["ip", "-j", "link"], check=True,
                         capture_output=True).stdout
    return sorted(link["ifname"] for link in json.loads(out))


def rules():
    """iptables rules, without the chains that plugins make once and keep."""
    out = subprocess.run(["iptables-save"], check=False,
                         capture_output=True, text=True).stdout
    return sorted(line for line in out.splitlines()
                  if line.startswith("-A") and "CNI-HOSTPORT" not in line)


def cgroups():
    """Of every hierarchy: what is ours by name."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        if after.split(" ")[0] not in ("cgroup", "cgroup2"):
            continue
        for base, directories, _ in os.walk(before.split(" ")[4]):
            for name in directories:
                path = os.path.join(base, name)
                if CGROUP in path or re.search(r"/quoll(/|$)", path):
                    found.append(path)
    return sorted(found)


def files(node):
    """Everything below the node's own directories but logs, images and what
    exists once for a node."""
    found = []
    for top in (node.state, node.run, node.ipam):
        for base, directories, names in os.walk(top):
            if base == str(node.state):
                directories[:] = [d for d in directories if d != "layers"]
                names = [n for n in names if not n.startswith("quoll.db")]
            for name in directories + names:
                path = os.path.join(base, name)
                # host-local keeps its lock and the last address it gave.
                if not re.search(r"/(lock|last_reserved_ip\.\d+)$", path):
                    found.append(path)
    return sorted(found)


def records(node):
    """(table, key) of everything in the store but images and layers."""
    found = []
    with sqlite3.connect(f"file:{node.state}/quoll.db?mode=ro", uri=True) as db:
        tables = [row[0] for row in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table in ("images", "layers", "meta"):
                continue
            for row in db.execute(f'SELECT key FROM "{table}"'):
                found.append(f"{table}/{row[0]}")
    return sorted(found)


def snapshot(node):
    return {
        "processes": processes(), "mounts": mounts(),
        "namespaces": namespaces(), "links": links(), "rules": rules(),
        "cgroups": cgroups(), "files": files(node), "records": records(node),
    }


def difference(before, after):
    """What `after` has more than `before`, by kind; empty when nothing."""
    result = {}
    for kind, had in before.items():
        rest = list(had)
        more = []
        for item in after[kind]:
            if item in rest:
                rest.remove(item)
            else:
                more.append(item)
        if more:
            result[kind] = more
    return result
