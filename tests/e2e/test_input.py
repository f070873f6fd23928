# SPDX-License-Identifier: Apache-2.0
"""Bad input is refused with a sentence, and leaves nothing behind."""
import unittest

import grpc

from proto.runtime.v1 import api_pb2 as cri

import leftovers
from node_case import IMAGE, NodeCase

INVALID = grpc.StatusCode.INVALID_ARGUMENT
LATER = grpc.StatusCode.UNIMPLEMENTED


class BadInputTest(NodeCase):
    def refused_pods(self, *cases):
        """Each case: code, words of the error, what it changes in a config."""
        before = leftovers.snapshot(self.node)
        for code, words, change in cases:
            with self.subTest(words):
                config = self.node.pod_config("bad")
                change(config)
                self.assertFails(code, words, self.node.run_pod, config)
        self.assertNothingLeft(before)

    def test_sandboxes(self):
        def name(config):
            config.metadata.name = ""

        def namespace(config):
            config.metadata.namespace = ""

        def uid(config):
            config.metadata.uid = ""

        def hostname(config):
            config.hostname = "h" * 65

        def log_directory(config):
            config.log_directory = "relative/logs"

        def log_above(config):
            config.log_directory = "/var/log/../../etc"

        def port(config):
            config.port_mappings.add(container_port=70000, host_port=80)

        def host_ip(config):
            config.port_mappings.add(
                container_port=80, host_port=80, host_ip="300.1.1.1")

        def slice_(config):
            config.linux.cgroup_parent = "kubepods-pod1.slice"

        def cgroup_above(config):
            config.linux.cgroup_parent = "/kubepods/../../elsewhere"

        def node_sysctl(config):
            config.linux.sysctls["kernel.panic"] = "1"

        def host_network_sysctl(config):
            config.linux.sysctls["net.ipv4.ip_forward"] = "1"
            config.linux.security_context.namespace_options.network = cri.NODE

        def unknown_sysctl(config):
            config.linux.sysctls["net.ipv4.no_such_thing"] = "1"

        def dns(config):
            config.dns_config.servers.append("10.0.0.1\nnameserver 6.6.6.6")

        def network_mode(config):
            config.linux.security_context.namespace_options.network = (
                cri.CONTAINER)

        def user_namespace(config):
            config.linux.security_context.namespace_options.userns_options.mode\
                = cri.POD
        self.refused_pods(
            (INVALID, "metadata.name", name),
            (INVALID, "metadata.namespace", namespace),
            (INVALID, "metadata.uid", uid),
            (INVALID, "hostname.*64", hostname),
            (INVALID, "log_directory.*relative/logs", log_directory),
            (INVALID, "log_directory", log_above),
            (INVALID, r"port_mappings\[0\].container_port.*70000", port),
            (INVALID, "host_ip.*300.1.1.1", host_ip),
            (INVALID, "cgroup_parent.*cgroupDriver", slice_),
            (INVALID, "cgroup_parent", cgroup_above),
            (INVALID, "kernel.panic.*node", node_sysctl),
            (INVALID, "ip_forward.*host network", host_network_sysctl),
            (INVALID, "net.ipv4.no_such_thing", unknown_sysctl),
            (INVALID, "dns_config.servers", dns),
            (INVALID, "namespace_options.network.*CONTAINER", network_mode),
            (LATER, "userns_options.*hostUsers", user_namespace))

    def refused_containers(self, pod, config, *cases):
        before = leftovers.snapshot(self.node)
        for code, words, change in cases:
            with self.subTest(words):
                wanted = self.node.container_config("bad", IMAGE, "true")
                change(wanted)
                self.assertFails(code, words, self.node.create, pod, config,
                                 wanted)
        self.assertNothingLeft(before)

    def test_containers(self):
        def no_image(config):
            config.image.image = ""

        def variable(config):
            config.envs.add(key="A=B", value=b"c")

        def zero_byte(config):
            config.command[:] = ["echo", "a\0b"]

        def empty_command(config):
            config.command[:] = [""]

        def working_dir(config):
            config.working_dir = "relative"

        def log_path(config):
            config.log_path = "../../../etc/passwd"

        def cdi(config):
            config.CDI_devices.add(name="vendor.com/gpu=1")

        def shared_pid(config):
            config.linux.security_context.namespace_options.pid = cri.POD

        def target(config):
            options = config.linux.security_context.namespace_options
            options.pid = cri.TARGET
            options.target_id = "f" * 64
        self.refused_containers(
            *self.pod(),
            (INVALID, "image", no_image),
            (INVALID, "envs.*A=B", variable),
            (INVALID, "command", zero_byte),
            (INVALID, "command", empty_command),
            (INVALID, "working_dir.*relative", working_dir),
            (INVALID, "log_path.*etc/passwd", log_path),
            (LATER, "CDI.*vendor.com/gpu=1", cdi),
            (INVALID, "pid POD", shared_pid),
            (grpc.StatusCode.NOT_FOUND, "f" * 12, target))

    def test_security(self):
        def privileged(config):
            config.linux.security_context.privileged = True

        def capability(config):
            config.linux.security_context.capabilities.add_capabilities.append(
                "FLY")

        def user(config):
            config.linux.security_context.run_as_username = "nobody-knows-me"

        def negative_user(config):
            config.linux.security_context.run_as_user.value = -5

        def group(config):
            config.linux.security_context.run_as_group.value = 5

        def seccomp(config):
            profile = config.linux.security_context.seccomp
            profile.profile_type = cri.SecurityProfile.Localhost
            profile.localhost_ref = "/no/such/profile.json"
        self.refused_containers(
            *self.pod(),
            (INVALID, "privileged sandbox|sandbox that is privileged",
             privileged),
            (INVALID, "FLY", capability),
            (INVALID, "nobody-knows-me", user),
            (INVALID, "run_as_user.*-5", negative_user),
            (INVALID, "run_as_group needs", group),
            (INVALID, "/no/such/profile.json", seccomp))

    def test_resources(self):
        def memory(config):
            config.linux.resources.memory_limit_in_bytes = -7

        def swap(config):
            config.linux.resources.memory_limit_in_bytes = 64 << 20
            config.linux.resources.memory_swap_limit_in_bytes = 32 << 20

        def oom_score(config):
            config.linux.resources.oom_score_adj = 1001

        def unified(config):
            config.linux.resources.unified["../memory.max"] = "1"
        self.refused_containers(
            *self.pod(),
            (INVALID, "memory_limit_in_bytes.*-7", memory),
            (INVALID, "memory_swap_limit_in_bytes", swap),
            (INVALID, "oom_score_adj.*1001", oom_score),
            (INVALID, "unified", unified))

    def test_mounts_and_devices(self):
        def mount(**fields):
            def change(config):
                config.mounts.add(**{"container_path": "/data",
                                     "host_path": "/tmp", **fields})
            return change

        def device(**fields):
            return lambda config: config.devices.add(**fields)
        self.refused_containers(
            *self.pod(),
            (INVALID, "container_path.*data", mount(container_path="data")),
            (INVALID, "container_path", mount(container_path="")),
            (INVALID, "root directory", mount(container_path="/x/..")),
            (INVALID, "host_path.*tmp", mount(host_path="tmp")),
            (INVALID, "host_path", mount(host_path="")),
            (INVALID, "suid.*noexec", mount(mount_options=["suid"])),
            # This mount namespace is private, as a node's own is not.
            (INVALID, "(?s)/tmp.*make-rshared",
             mount(propagation=cri.PROPAGATION_BIDIRECTIONAL)),
            (INVALID, "recursive_read_only needs", mount(
                readonly=True, recursive_read_only=True,
                propagation=cri.PROPAGATION_HOST_TO_CONTAINER)),
            # The kubelet knows this one by its code and its first word.
            (grpc.StatusCode.UNKNOWN, "^RROUnsupported", mount(
                readonly=True, recursive_read_only=True)),
            (LATER, "image volumes",
             mount(host_path="", image=cri.ImageSpec(image=IMAGE))),
            (INVALID, "/dev/no-such", device(
                host_path="/dev/no-such", container_path="/dev/x")),
            (INVALID, "/etc/passwd", device(
                host_path="/etc/passwd", container_path="/dev/x")),
            (INVALID, "permissions.*q", device(
                host_path="/dev/null", permissions="q")))

    def test_calls(self):
        node = self.node
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        for call, request in (
                (node.runtime.PodSandboxStatus, cri.PodSandboxStatusRequest()),
                (node.runtime.StopPodSandbox, cri.StopPodSandboxRequest()),
                (node.runtime.RemovePodSandbox, cri.RemovePodSandboxRequest()),
                (node.runtime.ContainerStatus, cri.ContainerStatusRequest()),
                (node.runtime.StartContainer, cri.StartContainerRequest()),
                (node.runtime.StopContainer, cri.StopContainerRequest()),
                (node.runtime.RemoveContainer, cri.RemoveContainerRequest()),
                (node.runtime.ReopenContainerLog,
                 cri.ReopenContainerLogRequest()),
                (node.runtime.ExecSync, cri.ExecSyncRequest(cmd=["true"]))):
            self.assertFails(INVALID, "id", call, request)
        self.assertFails(INVALID, "cmd", node.exec, container)
        self.assertFails(INVALID, "timeout.*-1", node.runtime.ExecSync,
                         cri.ExecSyncRequest(container_id=container,
                                             cmd=["true"], timeout=-1))
        self.assertFails(grpc.StatusCode.FAILED_PRECONDITION, container[:12],
                         self.exec_after_end, container)
        for name in ("", "NOT//an image", "x:y:z", "a@sha256:short"):
            spec = cri.ImageSpec(image=name)
            self.assertFails(INVALID, "image", node.images.PullImage,
                             cri.PullImageRequest(image=spec))
            self.assertFails(INVALID, "image", node.images.RemoveImage,
                             cri.RemoveImageRequest(image=spec))
            self.assertFails(INVALID, "image", node.images.ImageStatus,
                             cri.ImageStatusRequest(image=spec))

    def exec_after_end(self, container):
        self.node.stop_container(container, 0)
        self.node.exec(container, "true")

    def test_an_exec_of_what_is_not_there(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        with self.assertRaises(grpc.RpcError) as caught:
            self.node.exec(container, "/no/such/program")
        self.assertIn("/no/such/program", caught.exception.details())
        self.assertEqual(self.output(container, "echo", "on"), "on\n")

    def test_prefixes_of_ids(self):
        node = self.node
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        short = container[:10]
        self.assertEqual(node.status(short).id, container)
        self.assertEqual(self.output(short, "echo", "x"), "x\n")
        node.runtime.ReopenContainerLog(
            cri.ReopenContainerLogRequest(container_id=short))
        node.stop_container(short, 0)
        self.assertEqual(node.status(container).exit_code, 137)
        node.remove_container(short)
        self.assertFails(grpc.StatusCode.NOT_FOUND, container[:12],
                         node.status, container)
        node.remove_pod(pod[:10])
        self.assertFails(grpc.StatusCode.NOT_FOUND, pod[:12],
                         node.pod_status, pod)
        image = node.images.ImageStatus(cri.ImageStatusRequest(
            image=cri.ImageSpec(image=IMAGE))).image
        for name in (image.id, image.id[7:], image.id[7:19]):
            self.assertEqual(node.images.ImageStatus(cri.ImageStatusRequest(
                image=cri.ImageSpec(image=name))).image.id, image.id, name)


class StrictHostPathTest(NodeCase):
    """A node that makes no missing host paths."""

    runtime_config = 'missing_host_path = "error"'

    def test_missing_host_path(self):
        pod, config = self.pod()
        path = self.node.root / "not-there"
        self.assertFails(INVALID, f"(?s)/data.*{path}.*does not exist",
                         self.sleeper, pod, config, mounts=[cri.Mount(
                             container_path="/data", host_path=str(path))])
        self.assertFalse(path.exists())
        path.mkdir()
        self.sleeper(pod, config, mounts=[cri.Mount(
            container_path="/data", host_path=str(path))])


class NeverCreatedHostPathTest(NodeCase):
    """A node with a mount point that may have nothing mounted."""

    runtime_config = 'never_create_host_paths = ["/tmp/quoll-e2e-nfs"]'

    def test_missing_host_path(self):
        pod, config = self.pod()
        self.assertFails(
            INVALID, "/tmp/quoll-e2e-nfs.*is it mounted", self.sleeper, pod,
            config, mounts=[cri.Mount(container_path="/data",
                                      host_path="/tmp/quoll-e2e-nfs/share")])


if __name__ == "__main__":
    unittest.main()
