# SPDX-License-Identifier: Apache-2.0
"""The life of images: names, ids, use, removal, secrets."""
import base64
import concurrent.futures
import crypt
import hashlib
import json
import tarfile
import unittest

import grpc

from proto.runtime.v1 import api_pb2 as cri

import images
from node import wait_until
from node_case import IMAGE, NodeCase


class ImagesTest(NodeCase):
    def load(self, name, *more_names, **config):
        """A small image of its own; returns its id."""
        archive = images.variant(self.node.root / "busybox.tar", name,
                                 *more_names, **config)
        self.node.load(archive)
        self.addCleanup(self.remove, name)
        with tarfile.open(archive) as tar:
            document = tar.extractfile("config.json").read()
        return "sha256:" + hashlib.sha256(document).hexdigest()

    def remove(self, name):
        self.node.images.RemoveImage(cri.RemoveImageRequest(
            image=cri.ImageSpec(image=name)), timeout=60)

    def find(self, name):
        answer = self.node.images.ImageStatus(cri.ImageStatusRequest(
            image=cri.ImageSpec(image=name)))
        return answer.image if answer.HasField("image") else None

    def listed(self):
        return {i.id: i for i in self.node.images.ListImages(
            cri.ListImagesRequest()).images}

    def layers(self):
        return {path.name for path in (self.node.state / "layers").iterdir()}

    def test_fields(self):
        one = self.load("quoll.local/fields:1", "quoll.local/fields:2",
                        User="1234:5678")
        image = self.listed()[one]
        self.assertEqual(self.find("quoll.local/fields:2"), image)
        self.assertEqual(sorted(image.repo_tags),
                         ["quoll.local/fields:1", "quoll.local/fields:2"])
        self.assertEqual((image.uid.value, image.username), (1234, ""))
        self.assertGreater(image.size, 10**6)
        self.assertFalse(image.pinned)
        self.load("quoll.local/named:1", User="nobody")
        image = self.find("quoll.local/named:1")
        self.assertEqual((image.HasField("uid"), image.username),
                         (False, "nobody"))
        streamed = [i.id for answer in self.node.images.StreamImages(
            cri.StreamImagesRequest()) for i in answer.images]
        self.assertEqual(sorted(streamed), sorted(self.listed()))

    def test_a_container_shows_the_name_that_its_user_gave(self):
        names = ("quoll.local/two-names:1", "quoll.local/two-names:2")
        image = self.load(*names, User="0")
        pod, config = self.pod()
        for number, name in enumerate(names):
            container = self.node.create(
                pod, config, self.node.container_config(f"c{number}", name,
                                                        "true"))
            status = self.node.status(container)
            self.assertEqual((status.image.image, status.image_id),
                             (name, image))
        # The kubelet names it by id, and tells the user's words beside that.
        wanted = self.node.container_config("by-id", image, "true")
        wanted.image.user_specified_image = names[1]
        container = self.node.create(pod, config, wanted)
        self.assertEqual(self.node.status(container).image.image, names[1])
        for item in self.node.runtime.ListContainers(
                cri.ListContainersRequest()).containers:
            self.assertEqual(item.image_id, image)
            self.assertTrue(item.image_ref)
            self.assertIn(item.image.image, names)

    def test_any_name_removes_all_names(self):
        for by in ("quoll.local/r:2", None):
            image = self.load("quoll.local/r:1", "quoll.local/r:2", User="7")
            self.remove(by or image)
            self.assertNotIn(image, self.listed())
            for name in ("quoll.local/r:1", "quoll.local/r:2", image):
                self.assertIsNone(self.find(name), name)

    def test_simultaneous_removals(self):
        names = [f"quoll.local/many:{i}" for i in range(8)]
        image = self.load(*names, User="8")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(self.remove, names + [image] * 8))
        self.assertNotIn(image, self.listed())

    def test_layers_stay_for_their_containers(self):
        """Also over a restart of the daemon, and only as long as needed."""
        self.node.load(self.own_layer("quoll.local/used:1"))
        added = self.layers()
        pod, config = self.pod()
        container = self.node.run_container(
            pod, config, self.node.container_config(
                "c", "quoll.local/used:1", "sleep", "1000"))
        self.remove("quoll.local/used:1")
        self.assertIsNone(self.find("quoll.local/used:1"))
        self.node.kill()
        self.node.start()
        self.assertEqual(self.layers(), added)
        self.assertEqual(self.output(container, "cat", "/only-here"), "x")
        self.assertEqual(self.node.status(container).image.image,
                         "quoll.local/used:1")
        self.node.remove_container(container)
        # They are collected without anybody's asking.
        wait_until(lambda: len(self.layers()) == len(added) - 1,
                   "the layer is removed")

    def own_layer(self, name):
        """An image with a layer that no other image has."""
        directory = self.node.root / "own-layer"
        directory.mkdir()
        (directory / "only-here").write_text("x")
        base = self.node.root / "busybox.tar"
        path = self.node.root / "own-layer.tar"
        images.run("sh", "-c", f"""
            cd {directory} && tar xf {base} &&
            tar cf second.tar only-here""")
        document = json.loads((directory / "config.json").read_text())
        document["rootfs"]["diff_ids"].append(
            "sha256:" + hashlib.sha256(
                (directory / "second.tar").read_bytes()).hexdigest())
        document["history"].append(document["history"][0])
        (directory / "config.json").write_text(json.dumps(document))
        (directory / "manifest.json").write_text(json.dumps([{
            "Config": "config.json", "RepoTags": [name],
            "Layers": ["layer.tar", "second.tar"]}]))
        images.run("tar", "-C", directory, "-cf", path, "manifest.json",
                   "config.json", "layer.tar", "second.tar")
        images.run("rm", "-r", directory)
        return path

    def test_a_registry_that_asks_who_we_are(self):
        """Every way to log in; no secret is ever written into the log."""
        secret = "quoll-e2e-Secret"
        registry = images.Registry(htpasswd="me:" + crypt.crypt(
            secret, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))
        try:
            name = registry.push(
                f"docker-archive:{self.node.root}/busybox.tar", "private:1",
                f"--dest-creds=me:{secret}")
            self.log_in(registry.host, name, secret)
        finally:
            registry.close()

    def log_in(self, host, name, secret):
        def pull(**auth):
            return self.node.images.PullImage(cri.PullImageRequest(
                image=cri.ImageSpec(image=name), auth=cri.AuthConfig(**auth)),
                timeout=60).image_ref
        encoded = base64.b64encode(f"me:{secret}".encode()).decode()
        image = self.find(IMAGE).id
        self.assertEqual(pull(username="me", password=secret), image)
        self.assertEqual(pull(auth=encoded), image)
        self.assertEqual(pull(auth=encoded, server_address=host), image)
        for wrong in ({}, {"username": "me", "password": secret + "!"},
                      # Meant for another server: not shown to this one.
                      {"auth": encoded, "server_address": "example.com"}):
            details = self.assertFails(
                grpc.StatusCode.PERMISSION_DENIED, name, pull, **wrong)
            self.assertNotIn(secret, details)
        log = self.node.daemon_log.read_text()
        self.assertIn("PullImage", log)
        for text in (secret, encoded):
            self.assertNotIn(text, log)
        # The image is one, with one more name.
        self.assertIn(name, self.find(IMAGE).repo_tags)


if __name__ == "__main__":
    unittest.main()
