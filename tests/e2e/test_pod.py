# SPDX-License-Identifier: Apache-2.0
"""A pod from a registry image, end to end, over crashes of the daemon."""
import concurrent.futures
import re
import subprocess
import time
import unittest

from proto.runtime.v1 import api_pb2 as cri

import images
import leftovers
from node import GATEWAY, Node, wait_until

LOG_LINE = re.compile(
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) "
    r"(stdout|stderr) [FP] .*$")


def log_of(node, container, stream=None):
    """The content of a container's CRI log, each line checked for its form."""
    content = []
    with open(node.status(container).log_path, encoding="utf-8") as log:
        for line in log.read().splitlines():
            assert LOG_LINE.match(line), f"no CRI log line: {line!r}"
            _, which, _, text = line.split(" ", 3)
            if stream in (None, which):
                content.append(text)
    return content


class PodTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node().start()
        cls.addClassCleanup(cls.node.close)
        cls.registry = images.Registry()
        cls.addClassCleanup(cls.registry.close)
        cls.nginx = cls.registry.push(f"oci:{images.nginx_layout()}:1",
                                      images.NGINX)
        cls.busybox_archive = images.busybox_archive(cls.node.root)
        cls.busybox = cls.registry.push(
            f"docker-archive:{cls.busybox_archive}", "busybox:1")

    def pull(self, name):
        return self.node.images.PullImage(cri.PullImageRequest(
            image=cri.ImageSpec(image=name)), timeout=300).image_ref

    def warm_up(self):
        """Makes what exists once for a node (the bridge, plugin chains)."""
        config = self.node.pod_config("warm-up")
        self.node.remove_pod(self.node.run_pod(config))

    def test_a_pod_from_a_registry_image(self):
        node = self.node
        ref = self.pull(self.nginx)
        self.assertEqual(ref, self.pull(
            f"{self.registry.host}/debian-nginx@"
            f"{self.registry.digest(images.NGINX)}"))
        self.pull(self.busybox)
        listed = {i.id: i for i in node.images.ListImages(
            cri.ListImagesRequest()).images}
        self.assertIn(ref, listed)
        self.assertIn(self.nginx, listed[ref].repo_tags)
        self.assertGreater(listed[ref].size, 50 << 20)

        self.warm_up()
        before = leftovers.snapshot(node)

        # Pod A serves, on its own address and on a port of the host.
        config_a = node.pod_config("a", port_mappings=[cri.PortMapping(
            protocol=cri.TCP, container_port=80, host_port=18080)])
        pod_a = node.run_pod(config_a)
        nginx = node.run_container(
            pod_a, config_a, node.container_config("nginx", self.nginx))
        address = node.pod_status(pod_a).network.ip
        self.assertRegex(address, r"^10\.213\.\d+\.\d+$")
        status = node.status(nginx)
        self.assertEqual(status.image.image, self.nginx)
        self.assertEqual(status.image_id, ref)

        # Pod B fetches, once each way, then in a loop.
        config_b = node.pod_config("b")
        pod_b = node.run_pod(config_b)
        loop = node.run_container(pod_b, config_b, node.container_config(
            "loop", self.busybox, "sh", "-c",
            f"until wget -q -O /dev/null http://{address}/; do :; done; "
            "echo ready; while :; do "
            f"wget -q -O /dev/null http://{address}/ && echo ok || echo FAILED;"
            "usleep 20000; done"))
        wait_until(lambda: "ready" in log_of(node, loop), "nginx serves")
        for url in (f"http://{address}/", f"http://{GATEWAY}:18080/"):
            fetched = node.exec(loop, "wget", "-q", "-O", "-", url)
            self.assertEqual(fetched.exit_code, 0, fetched.stderr)
            self.assertEqual(fetched.stdout.decode(), images.PAGE, url)

        answer = node.exec(loop, "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual(
            (answer.stdout, answer.stderr, answer.exit_code),
            (b"out\n", b"err\n", 7))
        environment = node.exec(nginx, "printenv", "QUOLL_IMAGE")
        self.assertEqual(environment.stdout, b"nginx\n")
        # The top layer's whiteouts hide what lower layers have.
        gone = node.exec(nginx, "sh", "-c",
                         "ls /usr/share/doc /usr/sbin/policy-rc.d")
        self.assertNotEqual(gone.exit_code, 0)

        self.crash_twice(pod_b, config_b, loop, pod_a, address)

        for pod in (pod_a, pod_b):
            node.stop_pod(pod)
            self.assertEqual(node.pod_status(pod).state, cri.SANDBOX_NOTREADY)
        for container in (nginx, loop):
            node.remove_container(container)
        for pod in (pod_a, pod_b):
            node.remove_pod(pod)
        self.assertEqual(
            leftovers.difference(before, leftovers.snapshot(node)), {})

    def crash_twice(self, pod_b, config_b, loop, pod_a, address):
        """The daemon dies twice while B fetches, and containers end meanwhile."""
        node = self.node
        for round_number in (1, 2):
            ends = {
                self.ending(pod_b, config_b, f"code-{round_number}",
                            "exit 7"): 7,
                self.ending(pod_b, config_b, f"fine-{round_number}",
                            "exit 0"): 0,
                self.ending(pod_b, config_b, f"signal-{round_number}",
                            f"exec sleep 7777{round_number}"): 137,
            }
            states = {c: node.status(c) for c in [loop, *ends]}
            fetched = len(log_of(node, loop))
            node.kill()
            killed_at = time.time_ns()
            (node.logs / f"go-{round_number}").touch()
            # The loop goes on without a daemon; the others end without one.
            def goes_on():
                with open(states[loop].log_path, encoding="utf-8") as log:
                    return len(log.readlines()) > fetched + 20
            wait_until(goes_on, "the loop goes on")
            # From outside: PID 1 of a namespace is deaf to its own SIGKILL.
            wait_until(lambda: subprocess.run(
                ["pkill", "-KILL", "-x", "-f", f"sleep 7777{round_number}"],
                check=False).returncode == 0, "there is a sleep to kill")
            node.start()
            for container, code in ends.items():
                status = node.wait_exited(container)
                self.assertEqual(status.exit_code, code, status)
                self.assertEqual(status.reason,
                                 "Completed" if code == 0 else "Error")
                self.assertEqual(status.started_at,
                                 states[container].started_at)
                self.assertGreater(status.finished_at, killed_at - 10**9)
                node.remove_container(container)
            status = node.status(loop)
            self.assertEqual(status.state, cri.CONTAINER_RUNNING)
            self.assertEqual(status.started_at, states[loop].started_at)
            self.assertEqual(node.pod_status(pod_a).network.ip, address)
            self.assertEqual(node.exec(loop, "echo", "back").stdout, b"back\n")
        self.assertNotIn("FAILED", log_of(node, loop))

    def ending(self, pod, config, name, script):
        """A container that ends by `script` once its signal file is there."""
        number = name.rsplit("-", 1)[1]
        return self.node.run_container(pod, config, self.node.container_config(
            name, self.busybox, "sh", "-c",
            f"until [ -e /logs/go-{number} ]; do usleep 10000; done; {script}",
            mounts=[cri.Mount(container_path="/logs",
                              host_path=str(self.node.logs))]))

    def test_many_pods_at_once(self):
        """100 pods by 8 callers: all run, all go, and what one costs."""
        node = self.node
        self.pull(self.busybox)
        self.warm_up()
        before = leftovers.snapshot(node)
        empty = pss(daemon_pids(node))

        def make(number):
            config = node.pod_config(f"many-{number}")
            pod = node.run_pod(config, timeout=240)
            container = node.run_container(
                pod, config, node.container_config(
                    "sleep", self.busybox, "sleep", "1000"))
            return pod, container
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            pods = list(pool.map(make, range(100)))
            made = time.monotonic() - started
            addresses = {node.pod_status(pod).network.ip for pod, _ in pods}
            self.assertEqual(len(addresses), 100)
            running = node.runtime.ListContainers(cri.ListContainersRequest(
                filter=cri.ContainerFilter(state=cri.ContainerStateValue(
                    state=cri.CONTAINER_RUNNING)))).containers
            self.assertEqual(len(running), 100)
            monitors = monitor_pids([c for _, c in pods])
            self.assertEqual(len(monitors), 100)
            full = pss(daemon_pids(node))
            print(f"\n  100 pods in {made:.1f} s; monitor Pss "
                  f"{pss(monitors) / 100:.0f} KiB each; quolld Pss "
                  f"{empty} KiB before, {full} KiB with 100 pods")
            started = time.monotonic()
            list(pool.map(lambda p: node.remove_pod(p[0]), pods))
            print(f"  100 pods removed in {time.monotonic() - started:.1f} s; "
                  f"quolld Pss {pss(daemon_pids(node))} KiB after")
        self.assertEqual(
            leftovers.difference(before, leftovers.snapshot(node)), {})


def daemon_pids(node):
    return [node.process.pid]


def monitor_pids(containers):
    lines = images.run("pgrep", "-a", "-f", "quoll-monitor container ")
    return [int(line.split()[0]) for line in lines.splitlines()
            if line.split()[-1] in containers]


def pss(pids):
    """KiB; proportional set size, summed."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            total += int(re.search(r"^Pss:\s+(\d+)", rollup.read(),
                                   re.M).group(1))
    return total


if __name__ == "__main__":
    unittest.main()
