# SPDX-License-Identifier: Apache-2.0
"""One quolld with directories, network and cgroup of its own, and its clients."""
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import grpc

from proto.quoll.v1 import operator_pb2, operator_pb2_grpc
from proto.runtime.v1 import api_pb2 as cri
from proto.runtime.v1 import api_pb2_grpc as cri_grpc

BIN = pathlib.Path(os.environ["QUOLL_BIN_DIR"])
RUNTIME = os.environ.get("QUOLL_E2E_RUNTIME", "runc")
CGROUP = os.environ.get("QUOLL_E2E_CGROUP", "/quoll-e2e")
SUBNET = "10.213.0.0/16"
GATEWAY = "10.213.0.1"
# How much slower than a real machine this one is (an emulated one).
SLOW = float(os.environ.get("QUOLL_E2E_SLOW", "1"))
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

_serial = itertools.count(1)


def wait_until(condition, what, seconds=20):
    """Waits for a condition that something else brings about."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Node:
    """A node: `start`, `kill`, `stop` its daemon; `runtime` and `images` are
    CRI's two services. `close` ends everything."""

    def __init__(self, extra_config="", runtime_config=""):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="quoll-e2e-"))
        self.state = self.root / "state"
        self.run = self.root / "run"
        self.logs = self.root / "logs"
        self.cni = self.root / "cni"
        self.ipam = self.root / "ipam"
        self.socket = self.run / "quoll.sock"
        self.daemon_log = self.root / "quolld.log"
        for directory in (self.run, self.logs, self.cni):
            directory.mkdir()
        self.bridge = f"qe2e{next(_serial)}"
        self.write_cni(self.default_cni())
        self.config = self.root / "quoll.toml"
        self.config.write_text(f"""
state_dir = "{self.state}"
run_dir = "{self.run}"
socket = "{self.socket}"

[log]
level = "debug"

[runtime]
default_handler = "{RUNTIME}"
{runtime_config}

[network]
conf_dir = "{self.cni}"
bin_dirs = ["{self.root}/cni-bin", "/usr/lib/cni"]
""" + extra_config)
        self.process = None
        self.channel = None

    def default_cni(self):
        return {
            "cniVersion": "1.0.0", "name": "e2e", "plugins": [
                {"type": "bridge", "bridge": self.bridge, "isGateway": True,
                 "ipMasq": True, "hairpinMode": True,
                 "ipam": {"type": "host-local", "dataDir": str(self.ipam),
                          "ranges": [[{"subnet": SUBNET}]],
                          "routes": [{"dst": "0.0.0.0/0"}]}},
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ]}

    def write_cni(self, conflist, name="10-e2e.conflist"):
        temporary = self.cni / ("." + name)
        temporary.write_text(
            conflist if isinstance(conflist, str) else json.dumps(conflist))
        temporary.rename(self.cni / name)

    # ---- the daemon

    def start(self):
        """Starts quolld and waits until it answers."""
        with open(self.daemon_log, "ab") as log:
            self.process = subprocess.Popen(
                [BIN / "quolld", "--config", self.config], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        self.connect()
        return self

    def _open_channel(self):
        if self.channel:
            self.channel.close()
        # A pool of its own: gRPC shares connections, with their back-off,
        # between channels that look alike.
        self.channel = grpc.insecure_channel(
            f"unix://{self.socket}",
            options=[("grpc.use_local_subchannel_pool", 1),
                     ("grpc.max_receive_message_length", 16 << 20)])
        self.runtime = cri_grpc.RuntimeServiceStub(self.channel)
        self.images = cri_grpc.ImageServiceStub(self.channel)
        self.operator = operator_pb2_grpc.OperatorStub(self.channel)

    def connect(self):
        def answers():
            if self.process.poll() is not None:
                raise AssertionError(
                    f"quolld ended with {self.process.returncode}:\n"
                    + self.daemon_output())
            self._open_channel()
            try:
                return self.runtime.Version(cri.VersionRequest(), timeout=2 * SLOW)
            except grpc.RpcError:
                return None
        wait_until(answers, "quolld answers")

    def kill(self):
        """kill -9: what a crash looks like."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30 * SLOW)

    def daemon_output(self):
        return self.daemon_log.read_text(errors="replace")[-8000:]

    def close(self):
        if self.process and self.process.poll() is None:
            for item in self.runtime.ListPodSandbox(
                    cri.ListPodSandboxRequest()).items:
                self.remove_pod(item.id)
            self.stop()
        if self.channel:
            self.channel.close()
        subprocess.run(["ip", "link", "del", self.bridge], check=False,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- what tests ask of it

    def load(self, path, name=""):
        answer = self.operator.LoadImage(
            operator_pb2.LoadImageRequest(path=str(path), name=name))
        return answer.images[0]

    def pod_config(self, name, **fields):
        serial = next(_serial)
        log_directory = self.logs / f"{name}-{serial}"
        linux = cri.LinuxPodSandboxConfig(
            cgroup_parent=f"{CGROUP}/pod{serial}",
            security_context=cri.LinuxSandboxSecurityContext(
                namespace_options=cri.NamespaceOption(pid=cri.CONTAINER)))
        config = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(
                name=name, uid=f"uid-{serial}", namespace="default"),
            hostname=name, log_directory=str(log_directory), linux=linux)
        for key, value in fields.items():
            field = getattr(config, key)
            if hasattr(field, "MergeFrom"):
                field.MergeFrom(value)
            else:
                setattr(config, key, value)
        return config

    def run_pod(self, config, handler="", timeout=60 * SLOW):
        return self.runtime.RunPodSandbox(cri.RunPodSandboxRequest(
            config=config, runtime_handler=handler), timeout=timeout * SLOW).pod_sandbox_id

    def container_config(self, name, image, *command, **fields):
        config = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name=name),
            image=cri.ImageSpec(image=image), command=command,
            log_path=f"{name}.log")
        config.linux.security_context.namespace_options.pid = cri.CONTAINER
        for key, value in fields.items():
            if isinstance(value, (list, tuple)):
                getattr(config, key).extend(value)
            elif hasattr(value, "DESCRIPTOR"):
                getattr(config, key).MergeFrom(value)
            else:
                setattr(config, key, value)
        return config

    def create(self, pod, pod_config, container_config):
        return self.runtime.CreateContainer(cri.CreateContainerRequest(
            pod_sandbox_id=pod, config=container_config,
            sandbox_config=pod_config), timeout=60 * SLOW).container_id

    def start_container(self, container):
        self.runtime.StartContainer(
            cri.StartContainerRequest(container_id=container), timeout=60 * SLOW)

    def run_container(self, pod, pod_config, container_config):
        container = self.create(pod, pod_config, container_config)
        self.start_container(container)
        return container

    def exec(self, container, *command, timeout=20):
        return self.runtime.ExecSync(cri.ExecSyncRequest(
            container_id=container, cmd=command, timeout=timeout),
            timeout=(timeout + 30) * SLOW)

    def status(self, container):
        return self.runtime.ContainerStatus(
            cri.ContainerStatusRequest(container_id=container)).status

    def pod_status(self, pod):
        return self.runtime.PodSandboxStatus(
            cri.PodSandboxStatusRequest(pod_sandbox_id=pod)).status

    def wait_exited(self, container, seconds=20):
        return wait_until(
            lambda: (lambda s: s if s.state == cri.CONTAINER_EXITED else None)(
                self.status(container)), f"{container[:12]} ends", seconds)

    def stop_container(self, container, grace=5):
        self.runtime.StopContainer(cri.StopContainerRequest(
            container_id=container, timeout=grace), timeout=grace + 60 * SLOW)

    def remove_container(self, container):
        self.runtime.RemoveContainer(
            cri.RemoveContainerRequest(container_id=container), timeout=60 * SLOW)

    def stop_pod(self, pod):
        self.runtime.StopPodSandbox(
            cri.StopPodSandboxRequest(pod_sandbox_id=pod), timeout=60 * SLOW)

    def remove_pod(self, pod):
        self.stop_pod(pod)
        self.runtime.RemovePodSandbox(
            cri.RemovePodSandboxRequest(pod_sandbox_id=pod), timeout=60 * SLOW)
