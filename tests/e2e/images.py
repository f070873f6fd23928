# SPDX-License-Identifier: Apache-2.0
"""Images made on the spot, and a real registry that serves them."""
import hashlib
import inspect
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

from node import REPOSITORY, wait_until

# Making a Debian takes a minute or two and a network; what it is made of is the
# key, so that a change of the recipe makes a new one.
CACHE = pathlib.Path(os.environ.get("QUOLL_TEST_CACHE", "/var/cache/quoll-tests"))
NGINX = "debian-nginx:1"
PAGE = "quoll serves this page\n"


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True,
                          text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit "
                             f"{done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def busybox_archive(directory, name="quoll.local/busybox:latest"):
    """A docker-archive with a static busybox."""
    path = pathlib.Path(directory) / "busybox.tar"
    run(REPOSITORY / "packaging/make-busybox-image", path, name)
    return path


def nginx_layout():
    """An OCI layout `debian-nginx` of three layers: a Debian made by
    debootstrap, nginx installed into it by apt, a page and a deleted file."""
    recipe = inspect.getsource(nginx_layout) + PAGE
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    layout = CACHE / f"debian-nginx-{key}"
    if layout.exists():
        return layout
    CACHE.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="making-", dir=CACHE))
    try:
        building = work / "layout"
        run("umoci", "init", "--layout", building)
        run("umoci", "new", "--image", f"{building}:1")

        def layer(change):
            bundle = work / "bundle"
            run("umoci", "unpack", "--image", f"{building}:1", bundle)
            change(bundle / "rootfs")
            run("umoci", "repack", "--image", f"{building}:1", bundle)
            shutil.rmtree(bundle)

        def debian(root):
            run("debootstrap", "--variant=minbase", "bookworm", root,
                "http://deb.debian.org/debian")

        def nginx(root):
            shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
            run("chroot", root, "sh", "-c",
                "echo exit 101 >/usr/sbin/policy-rc.d && "
                "chmod 755 /usr/sbin/policy-rc.d && "
                "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "
                "--no-install-recommends nginx-light && apt-get clean")

        def page(root):
            (root / "var/www/html/index.html").write_text(PAGE)
            (root / "usr/sbin/policy-rc.d").unlink()  # becomes a whiteout
            shutil.rmtree(root / "usr/share/doc")

        for change in (debian, nginx, page):
            layer(change)
        run("umoci", "config", "--image", f"{building}:1",
            "--config.cmd", "nginx", "--config.cmd", "-g",
            "--config.cmd", "daemon off; error_log /dev/stderr info;",
            "--config.env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "--config.env", "QUOLL_IMAGE=nginx",
            "--config.exposedports", "80/tcp", "--config.stopsignal", "SIGQUIT")
        building.rename(layout)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return layout


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
        self.process = subprocess.Popen(
            ["docker-registry", "serve", self.root / "config.yml"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.root / "log", "wb"))
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
