# SPDX-License-Identifier: Apache-2.0
"""Images made on the spot, and a real registry that serves them."""
import pathlib
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

from nginx_image import PAGE, nginx_layout, run
from node import REPOSITORY, wait_until

NGINX = "debian-nginx:1"


def busybox_archive(directory, name="quoll.local/busybox:latest"):
    """A docker-archive with a static busybox."""
    path = pathlib.Path(directory) / "busybox.tar"
    run(REPOSITORY / "packaging/make-busybox-image", path, name)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Registry:
    """docker-registry on a free loopback port, in a directory of its own."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="quoll-registry-"))
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        (self.root / "config.yml").write_text(f"""
version: 0.1
storage:
  filesystem: {{rootdirectory: {self.root}/data}}
  delete: {{enabled: true}}
http: {{addr: '{self.host}'}}
log: {{level: warn}}
""")
        with open(self.root / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", self.root / "config.yml"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=log)
        wait_until(self._answers, "docker-registry answers")

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError((self.root / "log").read_text())
        try:
            return urllib.request.urlopen(f"http://{self.host}/v2/", timeout=2)
        except (urllib.error.URLError, OSError):
            return None

    def push(self, source, name):
        """skopeo copy; returns the name by which quolld pulls it."""
        run("skopeo", "copy", "--quiet", "--insecure-policy",
            "--dest-tls-verify=false", source, f"docker://{self.host}/{name}")
        return f"{self.host}/{name}"

    def digest(self, name):
        return run("skopeo", "inspect", "--tls-verify=false", "--format",
                   "{{.Digest}}", f"docker://{self.host}/{name}").strip()

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)
