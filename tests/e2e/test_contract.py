# SPDX-License-Identifier: Apache-2.0
"""What a kubelet relies on: repeated, concurrent, abandoned and wrong calls."""
import concurrent.futures
import json
import os
import threading
import time
import unittest

import grpc

from proto.runtime.v1 import api_pb2 as cri

import images
import leftovers
from node import RUNTIME, SLOW, Node, wait_until
from node_case import IMAGE, NodeCase
from test_pod import log_of


class ContractTest(NodeCase):
    # ---- connection

    def test_version_and_status(self):
        version = self.node.runtime.Version(cri.VersionRequest())
        self.assertEqual(version.runtime_api_version, "v1")
        self.assertEqual(version.runtime_name, "quoll")
        self.assertTrue(version.version and version.runtime_version)
        answer = self.node.runtime.Status(cri.StatusRequest(verbose=True))
        conditions = {c.type: c.status for c in answer.status.conditions}
        self.assertEqual(conditions, {"RuntimeReady": True,
                                      "NetworkReady": True})
        self.assertIn(RUNTIME, [h.name for h in answer.runtime_handlers])
        self.assertIn("", [h.name for h in answer.runtime_handlers])
        for text in answer.info.values():
            json.loads(text)
        driver = self.node.runtime.RuntimeConfig(cri.RuntimeConfigRequest())
        self.assertEqual(driver.linux.cgroup_driver, cri.CGROUPFS)
        self.node.runtime.UpdateRuntimeConfig(cri.UpdateRuntimeConfigRequest(
            runtime_config=cri.RuntimeConfig(
                network_config=cri.NetworkConfig(pod_cidr="10.1.0.0/24"))))

    def test_image_fs_info(self):
        answer = self.node.images.ImageFsInfo(cri.ImageFsInfoRequest())
        self.assertGreater(answer.image_filesystems[0].used_bytes.value, 10**6)
        self.assertTrue(answer.image_filesystems[0].fs_id.mountpoint)
        self.assertEqual(len(answer.container_filesystems), 1)

    def test_later_calls_say_that_they_are_later(self):
        self.assertFails(grpc.StatusCode.UNIMPLEMENTED, r"\w+ \w+",
                         self.node.runtime.CheckpointContainer,
                         cri.CheckpointContainerRequest(container_id="x"))

    # ---- wrong input

    def test_wrong_input_is_refused_with_a_sentence(self):
        node = self.node
        bad = grpc.StatusCode.INVALID_ARGUMENT
        self.assertFails(bad, "metadata", node.runtime.RunPodSandbox,
                         cri.RunPodSandboxRequest(config=cri.PodSandboxConfig()))
        self.assertFails(bad, "(?s)handler.*nope", node.runtime.RunPodSandbox,
                         cri.RunPodSandboxRequest(
                             config=node.pod_config("x"),
                             runtime_handler="nope"))
        pod, config = self.pod()
        self.assertFails(bad, "metadata|name", node.runtime.CreateContainer,
                         cri.CreateContainerRequest(
                             pod_sandbox_id=pod, sandbox_config=config,
                             config=cri.ContainerConfig(
                                 image=cri.ImageSpec(image=IMAGE))))
        self.assertFails(bad, "image", node.images.PullImage,
                         cri.PullImageRequest(
                             image=cri.ImageSpec(image="NOT//an image")))
        self.assertFails(grpc.StatusCode.NOT_FOUND, "no-such",
                         node.create, pod, config,
                         node.container_config("x", "quoll.local/no-such:1"))

    def test_unknown_ids(self):
        runtime = self.node.runtime
        missing = "f" * 64
        for call, request in (
                (runtime.PodSandboxStatus, cri.PodSandboxStatusRequest(
                    pod_sandbox_id=missing)),
                (runtime.ContainerStatus, cri.ContainerStatusRequest(
                    container_id=missing)),
                (runtime.StartContainer, cri.StartContainerRequest(
                    container_id=missing)),
                (runtime.ExecSync, cri.ExecSyncRequest(
                    container_id=missing, cmd=["true"])),
                (runtime.ReopenContainerLog, cri.ReopenContainerLogRequest(
                    container_id=missing)),
                (runtime.CreateContainer, cri.CreateContainerRequest(
                    pod_sandbox_id=missing, sandbox_config=cri.PodSandboxConfig(),
                    config=self.node.container_config("x", IMAGE)))):
            self.assertFails(grpc.StatusCode.NOT_FOUND, missing[:12], call,
                             request)
        for call, request in (
                (runtime.StopPodSandbox, cri.StopPodSandboxRequest(
                    pod_sandbox_id=missing)),
                (runtime.RemovePodSandbox, cri.RemovePodSandboxRequest(
                    pod_sandbox_id=missing)),
                (runtime.StopContainer, cri.StopContainerRequest(
                    container_id=missing)),
                (runtime.RemoveContainer, cri.RemoveContainerRequest(
                    container_id=missing)),
                (self.node.images.RemoveImage, cri.RemoveImageRequest(
                    image=cri.ImageSpec(image="quoll.local/gone:1")))):
            call(request)
        self.assertFalse(self.node.images.ImageStatus(cri.ImageStatusRequest(
            image=cri.ImageSpec(image="quoll.local/gone:1"))).HasField("image"))

    def test_missing_host_path(self):
        pod, config = self.pod()
        path = self.node.root / "made" / "by-the-mount"
        container = self.sleeper(pod, config, mounts=[cri.Mount(
            container_path="/data", host_path=str(path))])
        self.assertTrue(path.is_dir())
        self.assertEqual(
            self.node.status(container).mounts[0].host_path, str(path))

    # ---- the same call again

    def test_the_same_sandbox_and_container_are_returned(self):
        node = self.node
        config = node.pod_config("same")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(lambda _: node.run_pod(config), range(16)))
        self.assertEqual(len(ids), 1)
        pod = ids.pop()
        wanted = node.container_config("same", IMAGE, "sleep", "1000")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = set(pool.map(
                lambda _: node.create(pod, config, wanted), range(16)))
        self.assertEqual(len(made), 1)
        container = made.pop()
        node.start_container(container)
        node.start_container(container)
        other = cri.PodSandboxConfig()
        other.CopyFrom(config)
        other.hostname = "different"
        self.assertFails(grpc.StatusCode.ALREADY_EXISTS, "different|same name",
                         node.run_pod, other)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: node.stop_container(container, 0), range(8)))
            list(pool.map(lambda _: node.remove_container(container), range(8)))
            list(pool.map(lambda _: node.stop_pod(pod), range(8)))
            list(pool.map(lambda _: node.remove_pod(pod), range(8)))

    def test_a_stopped_sandbox_takes_nothing_new(self):
        pod, config = self.pod()
        created = self.node.create(pod, config, self.node.container_config(
            "created", IMAGE, "sleep", "1"))
        running = self.sleeper(pod, config)
        self.node.stop_pod(pod)
        self.assertEqual(self.node.status(running).exit_code, 137)
        refused = grpc.StatusCode.FAILED_PRECONDITION
        self.assertFails(refused, pod[:12], self.node.create, pod, config,
                         self.node.container_config("late", IMAGE, "true"))
        self.assertFails(refused, ".", self.node.start_container, created)
        self.assertFails(refused, ".", self.node.exec, running, "true")

    def test_a_client_that_went_away(self):
        """The sandbox of a caller that left waits for the next one."""
        node = self.node
        calls, gate = self.gated_cni()
        try:
            config = node.pod_config("left")
            with self.assertRaises(grpc.RpcError) as caught:
                node.run_pod(config, timeout=0.5)
            self.assertEqual(caught.exception.code(),
                             grpc.StatusCode.DEADLINE_EXCEEDED)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                again = pool.submit(node.run_pod, config, timeout=30)
                gate.touch()
                pod = again.result()
            self.assertEqual(node.pod_status(pod).state, cri.SANDBOX_READY)
            # Only one ADD ran: the second call joined the first.
            self.assertEqual(calls.read_text().split().count("ADD"), 1)
            node.remove_pod(pod)
        finally:
            gate.touch()
            self.restore_cni()

    # ---- CNI that misbehaves

    def plugin(self, name, script):
        directory = self.node.root / "cni-bin"
        directory.mkdir(exist_ok=True)
        path = directory / name
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
        conflist = self.node.default_cni()
        conflist["plugins"].insert(1, {"type": name})
        self.node.write_cni(conflist)
        self.network_ready(True)

    def gated_cni(self):
        """A plugin that notes its calls, and whose ADD waits for a file."""
        calls = self.node.root / "gated-calls"
        gate = self.node.root / "gate"
        self.plugin("gated", f'echo "$CNI_COMMAND" >>{calls}\n'
                    '[ "$CNI_COMMAND" = DEL ] && exit 0\n'
                    f"until [ -e {gate} ]; do sleep 0.05; done\n"
                    'cat <<J\n{"cniVersion":"1.0.0","ips":[{"address":'
                    '"10.213.250.250/16"}]}\nJ\n')
        return calls, gate

    def restore_cni(self):
        self.node.write_cni(self.node.default_cni())
        self.network_ready(True)

    def network_ready(self, wanted):
        def looks():
            answer = self.node.runtime.Status(cri.StatusRequest())
            found = {c.type: c for c in answer.status.conditions}["NetworkReady"]
            return found if found.status == wanted else None
        return wait_until(looks, f"NetworkReady is {wanted}")

    def test_a_plugin_that_fails(self):
        self.plugin("fails", '[ "$CNI_COMMAND" = DEL ] && exit 0\n'
                    'echo \'{"cniVersion":"1.0.0","code":100,'
                    '"msg":"the switch is on fire"}\'; exit 1\n')
        try:
            details = self.assertFails(
                grpc.StatusCode.FAILED_PRECONDITION, "the switch is on fire",
                self.node.run_pod, self.node.pod_config("fails"))
            self.assertIn("fails", details)
        finally:
            self.restore_cni()

    def test_a_network_configuration_that_is_not_json(self):
        good = self.node.cni / "10-e2e.conflist"
        kept = good.read_text()
        good.unlink()
        try:
            condition = self.network_ready(False)
            self.assertIn(str(self.node.cni), condition.message)
            self.node.write_cni("this is not JSON")
            condition = wait_until(
                lambda: (lambda c: c if "10-e2e.conflist" in c.message
                         else None)(self.network_ready(False)),
                "the condition names the file")
            self.assertFails(grpc.StatusCode.INVALID_ARGUMENT,
                             "10-e2e.conflist", self.node.run_pod,
                             self.node.pod_config("no-network"))
        finally:
            self.node.write_cni(kept)
            self.network_ready(True)

    # ---- containers

    def test_status_says_what_was_asked_for(self):
        labels = {"app": "x", "empty": ""}
        config = self.node.pod_config("labels")
        config.labels.update(labels)
        config.annotations["note"] = "a b\nc"
        pod = self.node.run_pod(config)
        wanted = self.node.container_config("c", IMAGE, "sleep", "1000")
        wanted.labels.update(labels)
        wanted.annotations["k"] = "v"
        container = self.node.run_container(pod, config, wanted)
        status = self.node.status(container)
        self.assertEqual(dict(status.labels), labels)
        self.assertEqual(dict(status.annotations), {"k": "v"})
        self.assertEqual(status.image.image, IMAGE)
        self.assertEqual(status.state, cri.CONTAINER_RUNNING)
        self.assertTrue(0 < status.created_at <= status.started_at)
        self.assertEqual(status.log_path, f"{config.log_directory}/c.log")
        answer = self.node.runtime.PodSandboxStatus(cri.PodSandboxStatusRequest(
            pod_sandbox_id=pod[:16]))
        self.assertEqual(answer.status.id, pod)
        self.assertEqual(dict(answer.status.labels), labels)
        self.assertEqual(answer.status.annotations["note"], "a b\nc")
        self.assertEqual([c.id for c in answer.containers_statuses], [container])
        self.assertGreater(answer.timestamp, status.started_at)
        self.assertEqual(
            self.node.exec(container, "hostname").stdout, b"labels\n")

    def test_list_filters(self):
        one, config_one = self.pod("one")
        two = self.node.pod_config("two")
        two.labels["color"] = "red"
        two_id = self.node.run_pod(two)
        self.node.stop_pod(one)

        def pods(**fields):
            return {i.id for i in self.node.runtime.ListPodSandbox(
                cri.ListPodSandboxRequest(
                    filter=cri.PodSandboxFilter(**fields))).items}
        self.assertEqual(pods(), {one, two_id})
        self.assertEqual(pods(id=one[:10]), {one})
        self.assertEqual(pods(label_selector={"color": "red"}), {two_id})
        self.assertEqual(pods(label_selector={"color": "blue"}), set())
        self.assertEqual(pods(state=cri.PodSandboxStateValue(
            state=cri.SANDBOX_NOTREADY)), {one})
        streamed = [p.id for answer in self.node.runtime.StreamPodSandboxes(
            cri.StreamPodSandboxesRequest()) for p in answer.pod_sandboxes]
        self.assertEqual(sorted(streamed), sorted({one, two_id}))
        container = self.sleeper(two_id, two)

        def containers(**fields):
            return {c.id for c in self.node.runtime.ListContainers(
                cri.ListContainersRequest(
                    filter=cri.ContainerFilter(**fields))).containers}
        self.assertEqual(containers(pod_sandbox_id=two_id), {container})
        self.assertEqual(containers(pod_sandbox_id=one), set())
        self.assertEqual(containers(id=container[:12]), {container})
        self.assertEqual(containers(state=cri.ContainerStateValue(
            state=cri.CONTAINER_EXITED)), set())

    def test_a_command_that_is_not_there(self):
        pod, config = self.pod()
        wanted = self.node.container_config("none", IMAGE, "/no/such/program")
        with self.assertRaises(grpc.RpcError) as caught:
            container = self.node.create(pod, config, wanted)
            self.node.start_container(container)
        self.assertIn("/no/such/program", caught.exception.details())

    def test_exit_codes_and_grace(self):
        pod, config = self.pod()
        node = self.node
        stubborn = node.run_container(pod, config, node.container_config(
            "stubborn", IMAGE, "sh", "-c",
            "trap '' TERM; echo up; while :; do sleep 1; done"))
        polite = node.run_container(pod, config, node.container_config(
            "polite", IMAGE, "sh", "-c",
            "trap 'exit 3' TERM; echo up; while :; do usleep 10000; done"))
        for container in (stubborn, polite):
            wait_until(lambda c=container: "up" in log_of(node, c), "trap is set")
        node.stop_container(polite, 30)
        self.assertEqual(node.status(polite).exit_code, 3)
        self.assertEqual(node.status(polite).reason, "Error")
        # A long grace period is shortened by a later, shorter call.
        long_stop = threading.Thread(
            target=lambda: node.stop_container(stubborn, 300))
        long_stop.start()
        started = time.monotonic()
        node.stop_container(stubborn, 1)
        long_stop.join()
        self.assertLess(time.monotonic() - started, 30 * SLOW)
        self.assertEqual(node.status(stubborn).exit_code, 137)

    def test_exec_sync_past_its_timeout_leaves_nothing(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        self.assertFails(
            grpc.StatusCode.DEADLINE_EXCEEDED, ".", self.node.exec, container,
            "sh", "-c", "(setsid sleep 4242 &) ; sleep 4242 & sleep 4242",
            timeout=1)
        self.assertEqual([p for p in leftovers.processes() if "4242" in p], [])
        self.assertEqual(self.node.exec(container, "echo", "on").stdout, b"on\n")
        # A grandchild that holds the output open does not hold the answer.
        started = time.monotonic()
        answer = self.node.exec(container, "sh", "-c", "sleep 77 & echo done")
        self.assertEqual(answer.stdout, b"done\n")
        self.assertLess(time.monotonic() - started, 10 * SLOW)

    def test_exec_sync_output_is_bounded(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        answer = self.node.exec(container, "sh", "-c",
                                "head -c 8000000 /dev/zero; exit 5")
        self.assertEqual((len(answer.stdout), answer.exit_code), (8000000, 5))
        with self.assertRaises(grpc.RpcError) as caught:
            self.node.exec(container, "head", "-c", "40000000", "/dev/zero")
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_log_forms_and_rotation(self):
        pod, config = self.pod()
        node = self.node
        container = node.run_container(pod, config, node.container_config(
            "talks", IMAGE, "sh", "-c",
            "echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo;"
            "printf tail; i=0; while [ $i -lt 2000 ]; do echo n$i;"
            " i=$((i+1)); [ $((i%50)) = 0 ] && usleep 10000; done; echo end"))
        path = node.status(container).log_path
        os.rename(path, path + ".1")
        node.runtime.ReopenContainerLog(
            cri.ReopenContainerLogRequest(container_id=container))
        node.wait_exited(container, 60)
        lines = []
        for name in (path + ".1", path):
            with open(name, encoding="utf-8") as log:
                lines += [line.split(" ", 3) for line in
                          log.read().splitlines()]
        out = ""
        for _, stream, tag, text in lines:
            if stream == "stdout":
                self.assertLessEqual(len(text), 16384)
                out += text + ("\n" if tag == "F" else "")
        wanted = ("out\n" + "x" * 40000 + "\n" + "tail" +
                  "".join(f"n{i}\n" for i in range(2000)) + "end\n")
        self.assertEqual(out, wanted)
        self.assertEqual([t for _, s, _, t in lines if s == "stderr"], ["err"])

    def test_a_shared_pid_namespace(self):
        config = self.node.pod_config("shared")
        config.linux.security_context.namespace_options.pid = cri.POD
        pod = self.node.run_pod(config)
        containers = []
        for name in ("one", "two"):
            wanted = self.node.container_config(name, IMAGE, "sleep", "1000")
            wanted.linux.security_context.namespace_options.pid = cri.POD
            containers.append(self.node.run_container(pod, config, wanted))
        seen = self.node.exec(containers[0], "ps").stdout.decode()
        self.assertEqual(seen.count("sleep 1000"), 2, seen)
        self.assertRegex(seen, r"(?m)^ *1 .*quoll-pause")
        self.node.stop_container(containers[0], 0)
        self.assertEqual(self.node.status(containers[0]).exit_code, 137)
        self.assertEqual(self.node.status(containers[1]).state,
                         cri.CONTAINER_RUNNING)

    def test_host_network(self):
        config = self.node.pod_config("host")
        config.linux.security_context.namespace_options.network = cri.NODE
        pod = self.node.run_pod(config)
        self.assertEqual(self.node.pod_status(pod).network.ip, "")
        wanted = self.node.container_config("c", IMAGE, "sleep", "1000")
        wanted.linux.security_context.namespace_options.network = cri.NODE
        container = self.node.run_container(pod, config, wanted)
        inside = self.node.exec(container, "readlink", "/proc/self/ns/net")
        self.assertEqual(inside.stdout.decode().strip(),
                         os.readlink("/proc/self/ns/net"))

    def test_files_of_the_pod(self):
        config = self.node.pod_config("files", dns_config=cri.DNSConfig(
            servers=["10.0.0.10"], searches=["a.svc", "b"],
            options=["ndots:5"]))
        pod = self.node.run_pod(config)
        container = self.sleeper(pod, config)
        text = self.node.exec(container, "cat", "/etc/resolv.conf").stdout
        self.assertEqual(text.decode().split("\n")[:3], [
            "search a.svc b", "nameserver 10.0.0.10", "options ndots:5"])
        shm = self.node.exec(container, "sh", "-c", "df -k /dev/shm | tail -1")
        self.assertRegex(shm.stdout.decode(), r"\b65536\b")

    def test_anonymous_pull_deadline(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.node.images.PullImage(cri.PullImageRequest(
                image=cri.ImageSpec(image="127.0.0.1:9/x:1")), timeout=0.001)
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertFails(
            grpc.StatusCode.UNKNOWN, "^RegistryUnavailable",
            self.node.images.PullImage, cri.PullImageRequest(
                image=cri.ImageSpec(image="127.0.0.1:9/x:1")), timeout=60)


class HangingNetworkTest(unittest.TestCase):
    """A CNI plugin that hangs costs its own calls, and nothing is left of it."""

    def test_add_and_delete_that_hang(self):
        node = Node('timeout = "2s"\n').start()
        self.addCleanup(node.close)
        node.load(images.busybox_archive(node.root))
        node.remove_pod(node.run_pod(node.pod_config("warm-up")))
        before = leftovers.snapshot(node)
        plugins = node.root / "cni-bin"
        plugins.mkdir()
        hangs = plugins / "hangs"
        marker = node.root / "hang-now"
        hangs.write_text(f"#!/bin/sh\nif [ -e {marker} ]; then sleep 3600; fi\n"
                         '[ "$CNI_COMMAND" = DEL ] && exit 0\nexit 1\n')
        hangs.chmod(0o755)
        marker.touch()
        conflist = node.default_cni()
        conflist["plugins"].append({"type": "hangs"})
        node.write_cni(conflist)
        wait_until(lambda: {c.type: c.status for c in node.runtime.Status(
            cri.StatusRequest()).status.conditions}["NetworkReady"], "ready")
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            stuck = pool.submit(node.run_pod, node.pod_config("hangs"))
            # Others are answered meanwhile.
            host = node.pod_config("host")
            host.linux.security_context.namespace_options.network = cri.NODE
            node.remove_pod(node.run_pod(host, timeout=5))
            with self.assertRaises(grpc.RpcError) as caught:
                stuck.result()
        self.assertLess(time.monotonic() - started, 30 * SLOW)
        self.assertIn("hangs", caught.exception.details())
        # DEL hung too and is owed; it succeeds once the plugin lets it.
        marker.unlink()
        deadline = time.monotonic() + 60 * SLOW
        while True:
            left = leftovers.difference(before, leftovers.snapshot(node))
            if not left or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self.assertEqual(left, {})


if __name__ == "__main__":
    unittest.main()
