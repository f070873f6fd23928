# SPDX-License-Identifier: Apache-2.0
"""Ends, restarts and logs of containers, as a kubelet relies on them."""
import concurrent.futures
import os
import pathlib
import random
import threading
import time
import unittest

import grpc

from proto.runtime.v1 import api_pb2 as cri

import leftovers
from node import SLOW, wait_until
from node_case import IMAGE, NodeCase
from test_pod import log_of


class EndsTest(NodeCase):
    def deaf(self, pod, config, name="deaf", **fields):
        """A container that ignores TERM and has processes beside its first."""
        container = self.node.run_container(
            pod, config, self.node.container_config(
                name, IMAGE, "sh", "-c",
                "trap '' TERM; (setsid sleep 4343 &); sleep 4343 & echo up;"
                "while :; do sleep 1; done", **fields))
        wait_until(lambda: "up" in log_of(self.node, container), "it is deaf")
        return container

    def test_no_grace_kills_at_once(self):
        pod, config = self.pod()
        container = self.deaf(pod, config)
        started = time.monotonic()
        self.node.stop_container(container, 0)
        self.assertLess(time.monotonic() - started, 5 * SLOW)
        status = self.node.status(container)
        self.assertEqual((status.exit_code, status.reason), (137, "Error"))
        self.assertGreaterEqual(status.finished_at, status.started_at)
        self.assertEqual([p for p in leftovers.processes() if "4343" in p], [])
        # The list, the pod's status and the container's say the same.
        listed = self.node.runtime.ListContainers(
            cri.ListContainersRequest()).containers
        self.assertEqual([c.state for c in listed], [cri.CONTAINER_EXITED])
        answer = self.node.runtime.PodSandboxStatus(
            cri.PodSandboxStatusRequest(pod_sandbox_id=pod))
        self.assertEqual(list(answer.containers_statuses), [status])

    def test_a_shared_pid_namespace_is_left_clean(self):
        config = self.node.pod_config("shared")
        config.linux.security_context.namespace_options.pid = cri.POD
        pod = self.node.run_pod(config)
        wanted = self.node.container_config(
            "c", IMAGE, "sh", "-c", "(setsid sleep 4343 &); sleep 4343 &"
            "echo up; exec sleep 1000")
        wanted.linux.security_context.namespace_options.pid = cri.POD
        container = self.node.run_container(pod, config, wanted)
        wait_until(lambda: "up" in log_of(self.node, container), "it runs")
        self.node.stop_container(container, 0)
        wait_until(lambda: not [p for p in leftovers.processes()
                                if "4343" in p], "all its processes ended")

    def test_removal_of_what_runs(self):
        """Logs and the kubelet's volumes stay; everything else goes."""
        volume = self.node.root / "volume"
        volume.mkdir()
        self.addCleanup(volume.rmdir)
        self.addCleanup((volume / "file").unlink)
        pod, config = self.pod()
        mounts = [cri.Mount(container_path="/data", host_path=str(volume))]
        one = self.deaf(pod, config, "one", mounts=mounts)
        two = self.deaf(pod, config, "two")
        self.output(one, "touch", "/data/file")
        logs = [self.node.status(c).log_path for c in (one, two)]
        self.node.remove_container(one)
        self.assertFails(grpc.StatusCode.NOT_FOUND, one[:12],
                         self.node.status, one)
        # Not even stopped before.
        self.node.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(
            pod_sandbox_id=pod), timeout=60 * SLOW)
        self.assertFails(grpc.StatusCode.NOT_FOUND, two[:12],
                         self.node.status, two)
        for log in logs:
            self.assertIn("up", pathlib.Path(log).read_text())
        self.assertTrue((volume / "file").exists())

    def test_the_next_attempt(self):
        pod, config = self.pod()
        ids = set()
        for attempt in range(3):
            wanted = self.node.container_config("c", IMAGE, "sh", "-c",
                                                f"exit {attempt}")
            wanted.metadata.attempt = attempt
            wanted.log_path = f"c/{attempt}.log"
            container = self.node.run_container(pod, config, wanted)
            status = self.node.wait_exited(container)
            self.assertEqual((status.exit_code, status.metadata.attempt),
                             (attempt, attempt))
            self.assertEqual(status.reason,
                             "Error" if attempt else "Completed")
            ids.add(container)
        self.assertEqual(len(ids), 3)
        # A removed one's name and attempt are free again.
        self.node.remove_container(container)
        self.assertNotIn(self.node.create(pod, config, wanted), ids)

    def test_what_is_no_program(self):
        pod, config = self.pod()
        text = self.node.root / "text"
        text.write_text("no program")
        text.chmod(0o755)
        self.addCleanup(text.unlink)
        wanted = self.node.container_config(
            "c", IMAGE, "/text", mounts=[cri.Mount(
                container_path="/text", host_path=str(text))])
        # The kernel refuses it when the container has been started already.
        container = self.node.run_container(pod, config, wanted)
        status = self.node.wait_exited(container)
        self.assertEqual((status.exit_code, status.reason), (1, "Error"))
        self.assertIn("exec format error",
                      pathlib.Path(status.log_path).read_text().lower())

    def test_a_caller_of_exec_that_goes_away(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        call = self.node.runtime.ExecSync.future(cri.ExecSyncRequest(
            container_id=container, cmd=["sleep", "4444"]))

        def sleeps():
            return [p for p in leftovers.processes() if p == "sleep 4444"]
        wait_until(sleeps, "it runs")
        call.cancel()
        wait_until(lambda: not sleeps(), "it is gone")

    def test_exec_output_of_both_streams_is_one_message(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        script = "head -c {0} /dev/zero; head -c {0} /dev/zero >&2"
        answer = self.node.exec(container, "sh", "-c", script.format(7000000))
        self.assertEqual((len(answer.stdout), len(answer.stderr)),
                         (7000000, 7000000))
        self.assertFails(grpc.StatusCode.RESOURCE_EXHAUSTED, ".",
                         self.node.exec, container, "sh", "-c",
                         script.format(9000000))


class RestartTest(NodeCase):
    def restart(self, kill):
        if kill:
            self.node.kill()
        else:
            self.assertEqual(self.node.stop(), 0)
        self.node.start()

    def everything(self):
        runtime = self.node.runtime
        pods = {p.id: runtime.PodSandboxStatus(cri.PodSandboxStatusRequest(
            pod_sandbox_id=p.id)).status for p in runtime.ListPodSandbox(
                cri.ListPodSandboxRequest()).items}
        return pods, {c.id: self.node.status(c.id)
                      for c in runtime.ListContainers(
                          cri.ListContainersRequest()).containers}

    def test_nothing_changes(self):
        stopped, config = self.pod("stopped")
        self.sleeper(stopped, config)
        self.node.stop_pod(stopped)
        host = self.node.pod_config("host")
        host.linux.security_context.namespace_options.network = cri.NODE
        host.labels["a"] = "b"
        self.node.run_pod(host)
        config = self.node.pod_config("shared")
        config.linux.security_context.namespace_options.pid = cri.POD
        pod = self.node.run_pod(config)
        ended = self.node.run_container(
            pod, config, self.node.container_config("ended", IMAGE, "sh", "-c",
                                                    "exit 42"))
        self.node.wait_exited(ended)
        running = self.sleeper(pod, config)
        created = self.node.create(pod, config, self.node.container_config(
            "created", IMAGE, "sh", "-c", "echo started; sleep 1000"))
        before = self.everything()
        for kill in (True, False):
            self.restart(kill)
            self.assertEqual(self.everything(), before)
        self.node.start_container(created)
        wait_until(lambda: log_of(self.node, created) == ["started"],
                   "it has started")
        self.assertEqual(self.output(running, "echo", "on"), "on\n")
        self.node.stop_container(running, 0)
        self.assertEqual(self.node.status(running).exit_code, 137)
        # What was made before is handed over after, too.
        self.assertEqual(self.node.run_pod(config), pod)

    def test_logs_are_rotated_after_a_restart(self):
        pod, config = self.pod()
        container = self.node.run_container(
            pod, config, self.node.container_config(
                "talks", IMAGE, "sh", "-c",
                "i=0; until [ -e /end ]; do i=$((i+1)); echo n$i;"
                "usleep 1000; done; echo end"))
        self.restart(kill=True)
        path = self.node.status(container).log_path
        os.rename(path, path + ".1")
        self.node.runtime.ReopenContainerLog(
            cri.ReopenContainerLogRequest(container_id=container))
        self.node.exec(container, "touch", "/end")
        self.node.wait_exited(container)
        lines = []
        for name in (path + ".1", path):
            lines += [line.split(" ", 3)[3] for line in pathlib.Path(
                name).read_text().splitlines()]
        self.assertEqual(lines, [f"n{i}" for i in range(1, len(lines))]
                         + ["end"])

    def test_crashes_in_the_midst(self):
        """Pods come and go while the daemon is killed again and again."""
        stop = threading.Event()

        def again(call, *arguments):
            """What a kubelet does: the same call until it is answered."""
            deadline = time.monotonic() + 60 * SLOW
            while True:
                try:
                    return call(*arguments)
                except (grpc.RpcError, ValueError) as error:
                    # ValueError: the channel was closed under us.
                    if time.monotonic() > deadline or isinstance(
                            error, grpc.RpcError) and error.code() in (
                                grpc.StatusCode.INVALID_ARGUMENT,
                                grpc.StatusCode.ALREADY_EXISTS,
                                grpc.StatusCode.NOT_FOUND):
                        raise
                    time.sleep(0.02)

        def come_and_go(name):
            count = 0
            while not stop.is_set():
                config = self.node.pod_config(name)
                pod = again(self.node.run_pod, config)
                wanted = self.node.container_config("c", IMAGE, "sleep", "1000")
                container = again(self.node.create, pod, config, wanted)
                again(self.node.start_container, container)
                self.assertEqual(again(self.node.status, container).state,
                                 cri.CONTAINER_RUNNING)
                again(self.node.remove_pod, pod)
                count += 1
            return count
        chance = random.Random(4)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            callers = [pool.submit(come_and_go, f"c{i}") for i in range(4)]
            for _ in range(8):
                time.sleep(chance.uniform(0.05, 0.8))
                self.node.kill()
                self.node.start()
            stop.set()
            self.assertGreater(sum(c.result() for c in callers), 0)
        # What was given up on is cleaned up in the background.
        wait_until(lambda: not leftovers.difference(
            self.before, leftovers.snapshot(self.node)), "nothing is left", 60)


class LogsTest(NodeCase):
    def test_a_silent_container_has_a_log(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config, log_path="deep/below/0.log")
        path = pathlib.Path(self.node.status(container).log_path)
        self.assertEqual(path, pathlib.Path(config.log_directory)
                         / "deep/below/0.log")
        self.assertEqual(path.read_bytes(), b"")

    def test_without_a_path_output_is_drained(self):
        pod, config = self.pod()
        container = self.node.run_container(
            pod, config, self.node.container_config(
                "c", IMAGE, "sh", "-c", "head -c 3000000 /dev/zero; exit 4",
                log_path=""))
        status = self.node.wait_exited(container)
        self.assertEqual((status.exit_code, status.log_path), (4, ""))
        self.assertFalse(list(pathlib.Path(config.log_directory).iterdir()))

    def test_a_pod_without_a_log_directory(self):
        pod, config = self.pod(log_directory="")
        container = self.node.run_container(
            pod, config, self.node.container_config("c", IMAGE, "echo", "x"))
        status = self.node.wait_exited(container)
        self.assertEqual((status.exit_code, status.log_path), (0, ""))

    def test_bytes_are_unchanged(self):
        pod, config = self.pod()
        container = self.node.run_container(
            pod, config, self.node.container_config(
                "c", IMAGE, "printf", r"\377\000\001\r\n\033[1m\n\n no end"))
        path = self.node.status(container).log_path
        self.node.wait_exited(container)
        with open(path, "rb") as log:
            lines = [line.split(b" ", 3)[2:]
                     for line in log.read().rstrip(b"\n").split(b"\n")]
        self.assertEqual(lines, [
            [b"F", b"\xff\x00\x01\r"], [b"F", b"\x1b[1m"], [b"F", b""],
            [lines[-1][0], b" no end"]])

    def test_a_terminal(self):
        pod, config = self.pod()
        container = self.node.run_container(
            pod, config, self.node.container_config(
                "c", IMAGE, "sh", "-c", "tty; echo $TERM; echo err >&2",
                tty=True))
        path = self.node.status(container).log_path
        self.node.wait_exited(container)
        lines = pathlib.Path(path).read_text().splitlines()
        self.assertEqual([line.split(" ", 3)[1:] for line in lines if line], [
            ["stdout", "F", "/dev/pts/0"], ["stdout", "F", "xterm"],
            ["stdout", "F", "err"]])


if __name__ == "__main__":
    unittest.main()
