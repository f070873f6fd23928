# SPDX-License-Identifier: Apache-2.0
"""What a container finds around it: files, network, kernel settings, limits."""
import json
import os
import pathlib
import re
import stat
import subprocess
import unittest

import grpc

from proto.runtime.v1 import api_pb2 as cri

import images
import leftovers
from node import RUNTIME, wait_until
from node_case import IMAGE, NodeCase

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


class FilesTest(NodeCase):
    def source(self, name, **files):
        """A directory of the host with small files."""
        path = self.node.root / name
        path.mkdir()
        self.addCleanup(subprocess.run, ["rm", "-rf", path], check=True)
        for file, text in files.items():
            (path / file).write_text(text)
        return path

    def test_mounts_are_made_from_above_to_below(self):
        outer = self.source("outer", f="outer")
        (outer / "sub").mkdir()
        inner = self.source("inner", f="inner")
        link = self.node.root / "link"
        link.symlink_to(inner)
        self.addCleanup(link.unlink)
        pod, config = self.pod()
        mounts = [
            cri.Mount(container_path="/data/sub", host_path=str(link),
                      readonly=True),
            cri.Mount(container_path="/data", host_path=str(outer),
                      mount_options=["noexec"])]
        container = self.sleeper(pod, config, mounts=mounts)
        self.assertEqual(
            self.output(container, "cat", "/data/f", "/data/sub/f"),
            "outerinner")
        self.output(container, "touch", "/data/new")
        self.assertTrue((outer / "new").exists())
        refused = self.node.exec(container, "touch", "/data/sub/new")
        self.assertIn(b"Read-only", refused.stderr)
        self.assertRegex(self.output(container, "grep", " /data ",
                                     "/proc/self/mounts"), "noexec")
        # As given: the link, not what it leads to.
        self.assertEqual(list(self.node.status(container).mounts), mounts)

    def test_propagation(self):
        host = self.source("host")
        (host / "later").mkdir()
        subprocess.run(["mount", "--bind", host, host], check=True)
        try:
            subprocess.run(["mount", "--make-shared", host], check=True)
            pod, config = self.pod()
            shown = {name: self.sleeper(pod, config, name, mounts=[cri.Mount(
                container_path="/data", host_path=str(host),
                propagation=propagation)]) for name, propagation in (
                    ("private", cri.PROPAGATION_PRIVATE),
                    ("slave", cri.PROPAGATION_HOST_TO_CONTAINER),
                    ("shared", cri.PROPAGATION_BIDIRECTIONAL))}
            subprocess.run(["mount", "-t", "tmpfs", "later", host / "later"],
                           check=True)
            (host / "later" / "f").touch()
            found = {name: self.node.exec(container, "ls", "/data/later").stdout
                     for name, container in shown.items()}
        finally:
            subprocess.run(["umount", "-R", "-l", host], check=True)
        self.assertEqual(found, {"private": b"", "slave": b"f\n",
                                 "shared": b"f\n"})

    def test_read_only_root(self):
        pod, config = self.pod()
        wanted = self.node.container_config("ro", IMAGE, "sleep", "1000")
        wanted.linux.security_context.readonly_rootfs = True
        container = self.node.run_container(pod, config, wanted)
        for path in ("/x", "/etc/x"):
            self.assertIn(b"Read-only",
                          self.node.exec(container, "touch", path).stderr)
        self.output(container, "touch", "/dev/shm/x")

    def test_shm_is_the_pods(self):
        pod, config = self.pod()
        one = self.sleeper(pod, config, "one")
        two = self.sleeper(pod, config, "two")
        self.output(one, "touch", "/dev/shm/shared")
        self.assertEqual(self.output(two, "ls", "/dev/shm"), "shared\n")
        other, other_config = self.pod("other")
        third = self.sleeper(other, other_config)
        self.assertEqual(self.output(third, "ls", "/dev/shm"), "")

    def test_shm_of_the_host(self):
        mark = pathlib.Path(f"/dev/shm/quoll-e2e-{os.getpid()}")
        config = self.node.pod_config("host-ipc")
        config.linux.security_context.namespace_options.ipc = cri.NODE
        pod = self.node.run_pod(config)
        wanted = self.node.container_config("c", IMAGE, "sleep", "1000")
        wanted.linux.security_context.namespace_options.ipc = cri.NODE
        container = self.node.run_container(pod, config, wanted)
        mark.touch()
        self.addCleanup(mark.unlink)
        self.assertIn(mark.name, self.output(container, "ls", "/dev/shm"))
        self.assertEqual(
            self.output(container, "readlink", "/proc/self/ns/ipc").strip(),
            os.readlink("/proc/self/ns/ipc"))

    def test_devices(self):
        """One device, and a directory of them, recursively."""
        directory = self.source("devices", note="no device")
        (directory / "sub").mkdir()
        # 1:11 is the kernel's log, which no container has by itself.
        for name, minor in (("null", 3), ("sub/kmsg", 11)):
            os.mknod(directory / name, 0o666 | stat.S_IFCHR,
                     os.makedev(1, minor))
        pod, config = self.pod()
        container = self.sleeper(pod, config, devices=[
            cri.Device(host_path=str(directory), container_path="/dev/dir")])
        self.assertEqual(self.output(
            container, "stat", "-c", "%n %t %T", "/dev/dir/null",
            "/dev/dir/sub/kmsg"), "/dev/dir/null 1 3\n/dev/dir/sub/kmsg 1 b\n")
        self.assertEqual(self.output(container, "ls", "/dev/dir"),
                         "null\nsub\n")
        opens = ("sh", "-c", ": >/dev/dir/sub/kmsg")
        self.output(container, *opens)
        reader = self.sleeper(pod, config, "reader", devices=[
            cri.Device(host_path=str(directory), container_path="/dev/dir",
                       permissions="r")])
        self.assertIn(b"not permitted", self.node.exec(reader, *opens).stderr)

    def test_resolv_conf_of_the_node(self):
        pod, config = self.pod()
        container = self.sleeper(pod, config)
        text = pathlib.Path("/etc/resolv.conf").read_text()
        if re.search(r"(?m)^nameserver\s+127\.", text):
            self.skipTest("the node's own is not for pods")
        self.assertEqual(self.output(container, "cat", "/etc/resolv.conf"),
                         text)
        # /etc/hosts is the kubelet's to mount; nothing of ours is in its way.
        hosts = self.source("hosts", hosts="10.1.1.1 somewhere\n") / "hosts"
        container = self.sleeper(pod, config, "hosts", mounts=[cri.Mount(
            container_path="/etc/hosts", host_path=str(hosts))])
        self.assertEqual(self.output(container, "cat", "/etc/hosts"),
                         "10.1.1.1 somewhere\n")


class NetworkTest(NodeCase):
    def test_host_ports(self):
        pod, _ = self.pod(port_mappings=[
            cri.PortMapping(protocol=cri.UDP, container_port=53,
                            host_port=18053),
            cri.PortMapping(protocol=cri.SCTP, container_port=90,
                            host_port=18090),
            cri.PortMapping(protocol=cri.TCP, container_port=80,
                            host_port=18081, host_ip="127.0.0.5"),
            cri.PortMapping(protocol=cri.TCP, container_port=4321)])
        address = self.node.pod_status(pod).network.ip

        def rules():
            return subprocess.run(["iptables-save"], check=True, text=True,
                                  capture_output=True).stdout
        for words in ("-p udp .*--dport 18053 .*:53$",
                      "-p sctp .*--dport 18090 .*:90$",
                      "-d 127.0.0.5/32 .*--dport 18081 .*:80$"):
            self.assertRegex(rules(), "(?m)" + words)
        self.assertNotIn("4321", rules())
        self.node.stop_pod(pod)
        self.assertNotIn(address + ":", rules())

    def test_the_address_is_given_back_by_stop(self):
        pod, _ = self.pod()
        address = self.node.pod_status(pod).network.ip
        leases = self.node.ipam / "e2e"
        self.assertTrue((leases / address).exists())
        self.node.stop_pod(pod)
        self.assertFalse((leases / address).exists())
        self.assertEqual(self.node.pod_status(pod).network.ip, "")

    def test_two_families(self):
        conflist = self.node.default_cni()
        conflist["plugins"][0]["ipam"]["ranges"].append(
            [{"subnet": "fd00:213::/64"}])
        self.node.write_cni(conflist)
        self.addCleanup(self.node.write_cni, self.node.default_cni())

        def both():
            pod, config = self.pod("dual")
            network = self.node.pod_status(pod).network
            if not network.additional_ips:  # the change was not noticed yet
                self.node.remove_pod(pod)
                return None
            return pod, config, network
        pod, config, network = wait_until(both, "a pod has two addresses")
        self.assertRegex(network.ip, r"^10\.213\.")
        self.assertRegex(network.additional_ips[0].ip, "^fd00:213::")
        inside = self.output(self.sleeper(pod, config), "ip", "addr")
        self.assertIn(network.ip, inside)
        self.assertIn(network.additional_ips[0].ip, inside)
        self.node.kill()
        self.node.start()
        self.assertEqual(self.node.pod_status(pod).network, network)

    def test_sysctls(self):
        pod_config = self.node.pod_config("sysctls")
        pod_config.linux.sysctls.update({
            "net.ipv4.ip_local_port_range": "20000 30000",
            "kernel.shm_rmid_forced": "1"})
        pod = self.node.run_pod(pod_config)
        container = self.sleeper(pod, pod_config)
        self.assertEqual(self.output(
            container, "cat", "/proc/sys/net/ipv4/ip_local_port_range",
            "/proc/sys/kernel/shm_rmid_forced").split(),
            ["20000", "30000", "1"])

    def test_host_name_of_a_host_network_pod(self):
        config = self.node.pod_config("other-name")
        config.linux.security_context.namespace_options.network = cri.NODE
        pod = self.node.run_pod(config)
        wanted = self.node.container_config("c", IMAGE, "sleep", "1000")
        wanted.linux.security_context.namespace_options.network = cri.NODE
        container = self.node.run_container(pod, config, wanted)
        self.assertEqual(self.output(container, "hostname").strip(),
                         os.uname().nodename)


class DefaultSysctlsTest(NodeCase):
    runtime_config = ('default_sysctls = '
                      '{ "net.ipv4.ip_unprivileged_port_start" = "0" }')

    def test_a_pods_own_win(self):
        path = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
        pod, config = self.pod()
        self.assertEqual(
            self.output(self.sleeper(pod, config), "cat", path), "0\n")
        config = self.node.pod_config("own")
        config.linux.sysctls["net.ipv4.ip_unprivileged_port_start"] = "80"
        pod = self.node.run_pod(config)
        self.assertEqual(
            self.output(self.sleeper(pod, config), "cat", path), "80\n")


class LimitsTest(NodeCase):
    def limited(self, command, **resources):
        pod, config = self.pod()
        wanted = self.node.container_config("limited", IMAGE, *command)
        for key, value in resources.items():
            setattr(wanted.linux.resources, key, value)
        return config, self.node.run_container(pod, config, wanted)

    def cgroup_file(self, config, container, controller, name):
        path = f"{config.linux.cgroup_parent}/{container}"
        base = "" if V2 else controller
        return pathlib.Path(
            f"/sys/fs/cgroup/{base}{path}/{name}").read_text().strip()

    def test_limits_are_in_the_cgroup_that_was_given(self):
        config, container = self.limited(
            ["sleep", "1000"], memory_limit_in_bytes=64 << 20, cpu_shares=512,
            cpu_quota=50000, cpu_period=100000, oom_score_adj=900)

        def read(controller, name):
            return self.cgroup_file(config, container, controller, name)
        if V2:
            self.assertEqual(read("", "memory.max"), str(64 << 20))
            self.assertEqual(read("", "cpu.max"), "50000 100000")
            # No limit of its own means: no swap beyond the memory limit.
            self.assertEqual(read("", "memory.swap.max"), "0")
        else:
            self.assertEqual(read("memory", "memory.limit_in_bytes"),
                             str(64 << 20))
            self.assertEqual(read("cpu", "cpu.cfs_quota_us"), "50000")
            self.assertEqual(read("cpu", "cpu.cfs_period_us"), "100000")
            self.assertEqual(read("cpu", "cpu.shares"), "512")
        self.assertEqual(self.output(
            container, "cat", "/proc/1/oom_score_adj"), "900\n")
        linux = self.node.status(container).resources.linux
        self.assertEqual(
            (linux.memory_limit_in_bytes, linux.cpu_shares, linux.cpu_quota,
             linux.cpu_period, linux.oom_score_adj),
            (64 << 20, 512, 50000, 100000, 900))

    def test_out_of_memory(self):
        _, container = self.limited(
            ["sh", "-c", "x=x; while :; do x=$x$x; done"],
            memory_limit_in_bytes=16 << 20)
        status = self.node.wait_exited(container)
        self.assertEqual((status.reason, status.exit_code),
                         ("OOMKilled", 137), status)

    def test_out_of_memory_without_a_daemon(self):
        _, container = self.limited(
            ["sh", "-c", "until [ -e /go ]; do usleep 10000; done;"
             "x=x; while :; do x=$x$x; done"],
            memory_limit_in_bytes=16 << 20)
        info = json.loads(self.node.runtime.ContainerStatus(
            cri.ContainerStatusRequest(container_id=container, verbose=True)
        ).info["info"])
        root = pathlib.Path(f"/proc/{info['pid']}/root")
        self.node.kill()
        (root / "go").touch()
        wait_until(lambda: not root.parent.joinpath("root/go").exists(),
                   "the container ends")
        self.node.start()
        status = self.node.wait_exited(container)
        self.assertEqual((status.reason, status.exit_code),
                         ("OOMKilled", 137), status)


class IsolationTest(NodeCase):
    def made(self, pod, config, change, name="c"):
        wanted = self.node.container_config(name, IMAGE, "sleep", "1000")
        change(wanted.linux.security_context)
        return self.node.run_container(pod, config, wanted)

    def proc_status(self, container):
        return dict(line.split(":\t", 1) for line in self.output(
            container, "cat", "/proc/self/status").splitlines())

    def test_what_most_pods_ask_for(self):
        pod, config = self.pod()

        def change(security):
            security.seccomp.profile_type = cri.SecurityProfile.RuntimeDefault
            security.no_new_privs = True
            security.masked_paths.append("/proc/keys")
            security.readonly_paths.append("/proc/sys")
            security.capabilities.drop_capabilities.append("ALL")
            security.capabilities.add_capabilities.append("NET_BIND_SERVICE")
        container = self.made(pod, config, change)
        status = self.proc_status(container)
        self.assertEqual(status["Seccomp"], "2")
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(int(status["CapEff"], 16), 1 << 10)
        self.assertEqual(int(status["CapInh"], 16), 0)
        self.assertEqual(self.output(container, "cat", "/proc/keys"), "")
        self.assertIn(b"Read-only", self.node.exec(
            container, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"
        ).stderr)
        # Its own PID 1, and none of the node's processes.
        self.assertEqual(
            self.output(container, "cat", "/proc/1/cmdline"),
            "sleep\x001000\x00")

    def test_a_privileged_container(self):
        config = self.node.pod_config("privileged")
        config.linux.security_context.privileged = True
        pod = self.node.run_pod(config, handler=RUNTIME)

        def change(security):
            security.privileged = True
        container = self.made(pod, config, change)
        status = self.proc_status(container)
        self.assertEqual(status["Seccomp"], "0")
        own = re.search(r"(?m)^CapBnd:\s+(\w+)",
                        pathlib.Path("/proc/self/status").read_text()).group(1)
        self.assertEqual(status["CapEff"], own)
        self.assertRegex(self.output(container, "grep", " /sys sysfs",
                                     "/proc/self/mounts"), r"\brw\b")
        self.assertEqual(self.node.pod_status(pod).runtime_handler, RUNTIME)

    def test_process_namespaces_of_the_node_and_of_another(self):
        pod, config = self.pod()
        target = self.sleeper(pod, config, "target")

        def of_target(security):
            security.namespace_options.pid = cri.TARGET
            security.namespace_options.target_id = target
        debugger = self.made(pod, config, of_target, "debugger")
        self.assertEqual(
            self.output(debugger, "readlink", "/proc/1/ns/pid"),
            self.output(target, "readlink", "/proc/1/ns/pid"))

        def of_node(security):
            security.namespace_options.pid = cri.NODE
        config = self.node.pod_config("host-pid")
        config.linux.security_context.namespace_options.pid = cri.NODE
        pod = self.node.run_pod(config)
        container = self.made(pod, config, of_node)
        self.assertEqual(
            self.output(container, "readlink", "/proc/self/ns/pid").strip(),
            os.readlink("/proc/self/ns/pid"))
        self.node.stop_container(container, 0)
        self.assertEqual(self.node.status(container).exit_code, 137)

    def test_a_limit_that_nothing_fits_into(self):
        pod, config = self.pod()
        before = leftovers.snapshot(self.node)
        wanted = self.node.container_config("c", IMAGE, "sleep", "1000")
        wanted.linux.resources.memory_limit_in_bytes = 4096
        try:
            container = self.node.run_container(pod, config, wanted)
        except grpc.RpcError as error:
            self.assertRegex(error.details(), "(?i)memory|oom|kill")
            self.assertNothingLeft(before)
        else:
            self.assertNotEqual(self.node.wait_exited(container).exit_code, 0)


class ImageConfigTest(NodeCase):
    """What the image says, and the pod does not."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = "quoll.local/configured:1"
        cls.node.load(images.variant(
            cls.node.root / "busybox.tar", cls.name, User="nobody:nogroup",
            WorkingDir="/srv/here", StopSignal="SIGUSR1",
            Env=["PATH=/bin", "FROM=image", "KEPT=yes"],
            Entrypoint=["sh", "-c"], Volumes={"/var/volume": {}},
            Cmd=["trap 'exit 9' USR1; echo up; while :; do usleep 9999; done"]))

    def test_what_the_image_says_counts(self):
        pod, config = self.pod()
        container = self.node.run_container(
            pod, config, self.node.container_config("c", self.name, envs=[
                cri.KeyValue(key="FROM", value=b"pod")]))
        status = self.node.status(container)
        self.assertEqual((status.user.linux.uid, status.user.linux.gid),
                         (65534, 65534))
        self.assertEqual(cri.Signal.Name(status.stop_signal),
                         "SIGNAL_SIGUSR1")
        self.assertEqual(
            self.output(container, "sh", "-c", "id -u; pwd; echo $FROM $KEPT"),
            "65534\n/srv/here\npod yes\n")
        wait_until(lambda: "up" in pathlib.Path(status.log_path).read_text(),
                   "the trap is set")
        self.node.stop_container(container, 30)
        self.assertEqual(self.node.status(container).exit_code, 9)

    def test_the_call_wins(self):
        pod, config = self.pod()
        wanted = self.node.container_config(
            "c", self.name, stop_signal=cri.SIGNAL_SIGUSR2,
            working_dir="/other", args=[
                "trap 'exit 8' USR2; echo up; while :; do usleep 9999; done"])
        security = wanted.linux.security_context
        security.run_as_user.value = 1234
        security.run_as_group.value = 5678
        security.supplemental_groups.append(42)
        container = self.node.run_container(pod, config, wanted)
        status = self.node.status(container)
        user = status.user.linux
        self.assertEqual((user.uid, user.gid), (1234, 5678))
        self.assertIn(42, user.supplemental_groups)
        self.assertEqual(status.stop_signal, cri.SIGNAL_SIGUSR2)
        self.assertRegex(
            self.output(container, "sh", "-c", "id -u; id -g; id -G; pwd"),
            r"^1234\n5678\n5678 42\n/other\n$")
        wait_until(lambda: "up" in pathlib.Path(status.log_path).read_text(),
                   "the trap is set")
        self.node.stop_container(container, 30)
        self.assertEqual(self.node.status(container).exit_code, 8)

    def test_anonymous_volumes_go_with_the_container(self):
        pod, config = self.pod()
        wanted = self.node.container_config("c", self.name, args=["sleep 1000"])
        wanted.linux.security_context.run_as_user.value = 0
        wanted.linux.security_context.readonly_rootfs = True
        container = self.node.run_container(pod, config, wanted)
        self.output(container, "touch", "/var/volume/x")
        self.assertNotEqual(self.node.exec(container, "touch", "/x").exit_code,
                            0)
        self.node.remove_container(container)  # tearDown: nothing is left


if __name__ == "__main__":
    unittest.main()
