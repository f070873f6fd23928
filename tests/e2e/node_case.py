# SPDX-License-Identifier: Apache-2.0
"""Tests on a node with a busybox image; each must leave the node as it was."""
import unittest

import grpc

from proto.runtime.v1 import api_pb2 as cri

import images
import leftovers
from node import Node

IMAGE = "quoll.local/busybox:latest"


class NodeCase(unittest.TestCase):
    # What the daemon's [runtime] has beyond the usual.
    runtime_config = ""

    @classmethod
    def setUpClass(cls):
        cls.node = Node(runtime_config=cls.runtime_config).start()
        cls.addClassCleanup(cls.node.close)
        cls.node.load(images.busybox_archive(cls.node.root))
        # Makes what exists once for a node (the bridge, plugin chains).
        config = cls.node.pod_config("warm-up")
        cls.node.remove_pod(cls.node.run_pod(config))

    def setUp(self):
        self.before = leftovers.snapshot(self.node)

    def tearDown(self):
        for item in self.node.runtime.ListPodSandbox(
                cri.ListPodSandboxRequest()).items:
            self.node.remove_pod(item.id)
        self.assertNothingLeft(self.before)

    def assertNothingLeft(self, before):
        self.assertEqual(leftovers.difference(
            before, leftovers.snapshot(self.node)), {})

    def assertFails(self, code, words, call, *arguments, **named):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.code(), code,
                         caught.exception.details())
        self.assertRegex(caught.exception.details(), words)
        return caught.exception.details()

    def pod(self, name="pod", **fields):
        config = self.node.pod_config(name, **fields)
        return self.node.run_pod(config), config

    def sleeper(self, pod, config, name="sleeper", **fields):
        return self.node.run_container(pod, config, self.node.container_config(
            name, IMAGE, "sleep", "1000", **fields))

    def output(self, container, *command):
        """Standard output of a command in a container; it has to succeed."""
        answer = self.node.exec(container, *command)
        self.assertEqual(answer.exit_code, 0, answer)
        return answer.stdout.decode()
