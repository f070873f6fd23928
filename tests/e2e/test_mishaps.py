# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on a node without the daemon's doing."""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import unittest

import grpc

from proto.runtime.v1 import api_pb2 as cri

import images
import leftovers
from node import SLOW, wait_until
from node_case import IMAGE, NodeCase

REFUSED = grpc.StatusCode.FAILED_PRECONDITION


def kill(pattern):
    """Kills the processes of this PID namespace with such a command line."""
    pids = [int(pid) for pid in images.run("pgrep", "-f", pattern).split()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


class MishapsTest(NodeCase):
    def test_a_monitor_that_was_killed(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        other = self.sleeper(pod, config, "other")
        self.assertEqual(
            kill(f"quoll-monitor container .*{container}"), 1)
        wait_until(lambda: f"{container}: its monitor was killed"
                   in self.node.daemon_output(), "the log says so")
        # It runs all the same; only how it ends cannot be known any more.
        for each in (container, other):
            self.assertEqual(self.node.status(each).state,
                             cri.CONTAINER_RUNNING)
            self.assertEqual(self.output(each, "echo", "on"), "on\n")
        self.node.stop_container(container, 1)
        status = self.node.status(container)
        self.assertEqual((status.state, status.exit_code, status.reason),
                         (cri.CONTAINER_EXITED, 255, "Unknown"))
        self.assertIn("monitor", status.message)

    def test_a_monitor_that_was_killed_while_no_daemon_ran(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        self.node.kill()
        self.assertEqual(
            kill(f"quoll-monitor container .*{container}"), 1)
        self.node.start()
        self.assertEqual(self.node.status(container).state,
                         cri.CONTAINER_RUNNING)
        self.assertIn(f"{container}: its monitor was killed",
                      self.node.daemon_output())
        self.node.remove_container(container)

    def test_a_pause_process_that_was_killed(self):
        config = self.node.pod_config("shared")
        config.linux.security_context.namespace_options.pid = cri.POD
        pod = self.node.run_pod(config)
        wanted = self.node.container_config("c", IMAGE, "sleep", "1000")
        wanted.linux.security_context.namespace_options.pid = cri.POD
        container = self.node.run_container(pod, config, wanted)
        self.assertEqual(kill("quoll-pause"), 1)
        status = self.node.wait_exited(container)
        self.assertEqual(status.exit_code, 137)
        wanted.metadata.name = "next"
        with self.assertRaises(grpc.RpcError) as caught:
            self.node.run_container(pod, config, wanted)
        self.assertTrue(caught.exception.details())

    def test_a_cgroup_of_the_kubelet_stays(self):
        config = self.node.pod_config("kubelet")
        made = []
        for line in pathlib.Path("/proc/self/mountinfo").read_text().split(
                "\n")[:-1]:
            before, after = line.split(" - ")
            if after.split(" ")[0] in ("cgroup", "cgroup2"):
                made.append(pathlib.Path(
                    before.split(" ")[4] + config.linux.cgroup_parent))
        for path in made:
            path.mkdir(parents=True)
        try:
            pod = self.node.run_pod(config)
            self.sleeper(pod, config)
            self.node.remove_pod(pod)
            for path in made:
                self.assertTrue(path.is_dir(), path)
                self.assertEqual(
                    [p for p in path.iterdir() if p.is_dir()], [])
        finally:
            for path in made:
                path.rmdir()

    def test_logs_that_cannot_be_written(self):
        blocked = self.node.root / "blocked"
        blocked.write_text("a file")
        self.addCleanup(blocked.unlink)
        before = leftovers.snapshot(self.node)
        with self.assertRaises(grpc.RpcError) as caught:
            self.pod(log_directory=f"{blocked}/logs")
        self.assertIn(str(blocked), caught.exception.details())
        self.assertNothingLeft(before)
        pod, config = self.pod()
        before = leftovers.snapshot(self.node)
        directory = pathlib.Path(config.log_directory) / "c.log"
        directory.mkdir()
        with self.assertRaises(grpc.RpcError) as caught:
            self.sleeper(pod, config, "c")
        self.assertIn(str(directory), caught.exception.details())
        self.assertNothingLeft(before)

    def test_calls_at_the_wrong_time(self):
        node = self.node
        pod, config = self.pod()
        created = node.create(pod, config, node.container_config(
            "created", IMAGE, "sleep", "1000"))
        ended = node.run_container(pod, config, node.container_config(
            "ended", IMAGE, "true"))
        node.wait_exited(ended)
        for container in (created, ended):
            self.assertFails(REFUSED, container[:12], node.exec, container,
                             "true")
        self.assertFails(REFUSED, ended[:12], node.start_container, ended)
        self.assertFails(REFUSED, ended[:12], node.runtime.ReopenContainerLog,
                         cri.ReopenContainerLogRequest(container_id=ended))
        node.stop_container(ended, 10)
        node.stop_container(created, 10)
        self.assertEqual(node.status(created).state, cri.CONTAINER_EXITED)
        self.assertFails(REFUSED, created[:12], node.start_container, created)

    def test_arguments_that_are_too_long(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        try:  # the OCI runtime says so, or its process in the container
            words = self.node.exec(container, "echo", "x" * (1 << 20)).stderr
        except grpc.RpcError as error:
            words = error.details().encode()
        self.assertRegex(words, b"(?i)too long")
        self.assertLess(len(words), 10000)

    def test_a_plugin_that_is_not_there(self):
        conflist = self.node.default_cni()
        conflist["plugins"].append({"type": "no-such-plugin"})
        self.node.write_cni(conflist, "01-first.conflist")
        try:
            def refused():
                try:
                    self.node.remove_pod(self.pod("no-plugin")[0])
                except grpc.RpcError as error:
                    return error.details()
                return None  # the file was not noticed yet
            details = wait_until(refused, "the first file counts")
            self.assertRegex(details, "no-such-plugin.*/usr/lib/cni")
        finally:
            (self.node.cni / "01-first.conflist").unlink()

        def works():
            try:
                return self.pod("works")
            except grpc.RpcError:
                return None
        wait_until(works, "the second file counts")

    def test_a_pod_that_is_stopped_while_it_is_filled(self):
        """Each create is refused, or its container is ended by the stop."""
        node = self.node
        pod, config = self.pod()

        def fill(number):
            try:
                return self.sleeper(pod, config, f"c{number}")
            except grpc.RpcError as error:
                return error
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            fills = [pool.submit(fill, number) for number in range(16)]
            wait_until(lambda: fills[0].done(), "the first is there")
            node.stop_pod(pod)
            results = [f.result() for f in fills]
        for result in results:
            if isinstance(result, grpc.RpcError):
                self.assertEqual(result.code(), REFUSED, result.details())
        for item in node.runtime.ListContainers(
                cri.ListContainersRequest()).containers:
            self.assertEqual(item.state, cri.CONTAINER_EXITED)
        self.assertEqual([p for p in leftovers.processes()
                          if "sleep" in p or "quoll-monitor" in p], [])

    def test_a_root_filesystem_somebody_looks_into(self):
        """A process of the node in the container's root is no obstacle."""
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        root = next(line.split(" ")[4] for line in pathlib.Path(
            "/proc/self/mountinfo").read_text().splitlines()
            if container in line and " overlay " in line)
        watcher = subprocess.Popen(["sleep", "1000"], cwd=root)
        try:
            self.node.runtime.RemoveContainer(cri.RemoveContainerRequest(
                container_id=container), timeout=60 * SLOW)
            self.assertFalse(os.path.exists(root))
        finally:
            watcher.kill()
            watcher.wait()


if __name__ == "__main__":
    unittest.main()
