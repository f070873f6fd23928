# SPDX-License-Identifier: Apache-2.0
"""usage: nginx_image.py

Makes the image of a Debian with nginx that tests push to a registry, and prints
where it is. Run by tests/e2e/run before it enters a network of its own, from
where the package mirror cannot be reached."""
import hashlib
import inspect
import os
import pathlib
import shutil
import subprocess
import tempfile

# Making a Debian takes a minute or two and a network; what it is made of is the
# key, so that a change of the recipe makes a new one.
CACHE = pathlib.Path(os.environ.get("QUOLL_TEST_CACHE", "/var/cache/quoll-tests"))
PAGE = "quoll serves this page\n"


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True,
                          text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit "
                             f"{done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


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
        try:
            building.rename(layout)
        except OSError:
            if not layout.exists():  # another run was faster, with the same
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return layout


if __name__ == "__main__":
    print(nginx_layout())
