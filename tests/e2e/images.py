# SPDX-License-Identifier: Apache-2.0
"""Images made on the spot, and a real registry that serves them."""
import io
import json
import pathlib
import shutil
import socket
import subprocess
import tarfile
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


def variant(archive, name, *more_names, **config):
    """The image of a docker-archive again, under another name and with other
    fields in its config (User, StopSignal, Volumes)."""
    path = archive.with_name(name.split("/")[-1].replace(":", "-") + ".tar")
    with tarfile.open(archive) as old, tarfile.open(path, "w") as new:
        def add(member, content):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
        document = json.load(old.extractfile("config.json"))
        document["config"].update(config)
        add("manifest.json", json.dumps([{
            "Config": "config.json", "RepoTags": [name, *more_names],
            "Layers": ["layer.tar"]}]).encode())
        add("config.json", json.dumps(document).encode())
        add("layer.tar", old.extractfile("layer.tar").read())
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Registry:
    """docker-registry on a free loopback port, in a directory of its own."""

    def __init__(self, htpasswd=None):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="quoll-registry-"))
        auth = ""
        if htpasswd:
            (self.root / "htpasswd").write_text(htpasswd + "\n")
            auth = ("auth: {htpasswd: {realm: e2e, path: "
                    f"{self.root}/htpasswd}}}}")
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        (self.root / "config.yml").write_text(f"""
version: 0.1
storage:
  filesystem: {{rootdirectory: {self.root}/data}}
  delete: {{enabled: true}}
http: {{addr: '{self.host}'}}
log: {{level: warn}}
{auth}
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
        except urllib.error.HTTPError as error:
            return error.code == 401
        except (urllib.error.URLError, OSError):
            return None

    def push(self, source, name, *options):
        """skopeo copy; returns the name by which quolld pulls it."""
        run("skopeo", "copy", "--quiet", "--insecure-policy",
            "--dest-tls-verify=false", *options, source,
            f"docker://{self.host}/{name}")
        return f"{self.host}/{name}"

    def digest(self, name):
        return run("skopeo", "inspect", "--tls-verify=false", "--format",
                   "{{.Digest}}", f"docker://{self.host}/{name}").strip()

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)
