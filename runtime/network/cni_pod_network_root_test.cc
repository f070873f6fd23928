// SPDX-License-Identifier: Apache-2.0
//
// CniPodNetwork with the real plugins of containernetworking-plugins. The whole
// test runs in network and mount namespaces of its own: bridges, addresses and
// iptables rules are not the host's.
#include "runtime/network/cni_pod_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/event_loop.h"
#include "os/process.h"
#include "os/record_db.h"
#include "os/unique_fd.h"
#include "runtime/network/pod_network_contract.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kPluginDir[] = "/usr/lib/cni";

std::string RunProgram(const std::vector<std::string>& argv) {
  os::CommandRequest request;
  request.spawn.argv = argv;
  request.spawn.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  request.deadline = absl::Now() + absl::Seconds(30);
  const auto result = os::RunCommand(request);
  EXPECT_THAT(result, IsOk());
  if (!result.ok()) {
    return "";
  }
  EXPECT_EQ(result->exit.ShellCode(), 0) << argv[0] << ": " << result->err;
  return result->out;
}

// Before the first test, while there is one thread only.
class OwnNamespaces : public ::testing::Environment {
 public:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
    ASSERT_EQ(unshare(CLONE_NEWNET | CLONE_NEWNS), 0) << strerror(errno);
    // Nothing that is mounted from here on reaches the host.
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0)
        << strerror(errno);
    RunProgram({"/bin/sh", "-c", "exec ip link set lo up"});
  }
};

const auto* const kOwnNamespaces =
    ::testing::AddGlobalTestEnvironment(new OwnNamespaces);

// A node with a bridge network of its own.
class RealNode {
 public:
  RealNode() {
    std::filesystem::create_directory(dir_ / "bin");
    std::filesystem::create_directory(dir_ / "conf");
    std::filesystem::create_directory(dir_ / "ns");
    for (const char* plugin : {"bridge", "host-local", "portmap"}) {
      std::filesystem::create_symlink(absl::StrCat(kPluginDir, "/", plugin),
                                      dir_ / absl::StrCat("bin/", plugin));
    }
    std::ofstream(dir_ / "conf/10-pods.conflist")
        << absl::StrCat(R"({
      "cniVersion": "1.0.0", "name": "quoll-test",
      "plugins": [
        {"type": "bridge", "bridge": "quolltest0", "isGateway": true,
         "ipMasq": true, "hairpinMode": true,
         "ipam": {"type": "host-local", "dataDir": ")",
                        Leases(), R"(",
                  "ranges": [[{"subnet": "10.213.0.0/24"}]],
                  "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": true}}
      ]})");
    Restart();
  }

  ~RealNode() {
    network_.reset();
    std::vector<std::string> left;
    for (const auto& pin : std::filesystem::directory_iterator(dir_ / "ns")) {
      left.push_back(pin.path().filename());
    }
    for (const std::string& id : left) {
      DestroyNetns(id);
    }
    RunProgram({"/bin/sh", "-c", "ip link del quolltest0 2>/dev/null || :"});
  }

  void Restart() {
    network_.reset();
    loop_.reset();
    db_.reset();
    auto db = os::RecordDb::Open(dir_ / "quoll.db");
    auto loop = os::EventLoop::Create();
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_TRUE(loop.ok()) << loop.status();
    db_ = *std::move(db);
    loop_ = *std::move(loop);
    CniPodNetwork::Options options;
    options.conf_dir = dir_ / "conf";
    options.bin_dirs = {dir_ / "bin"};
    options.retry_min = absl::Milliseconds(1);
    options.retry_max = absl::Milliseconds(50);
    auto network = CniPodNetwork::Create(options, *db_, *loop_);
    ASSERT_TRUE(network.ok()) << network.status();
    network_ = *std::move(network);
  }

  std::string MakeNetns(const std::string& id) {
    const std::string pin = dir_ / ("ns/" + id);
    std::ofstream(pin) << "";
    RunProgram({"/usr/bin/unshare", absl::StrCat("--net=", pin), "true"});
    return pin;
  }
  void DestroyNetns(const std::string& id) {
    const std::string pin = dir_ / ("ns/" + id);
    umount2(pin.c_str(), MNT_DETACH);
    std::filesystem::remove(pin);
  }

  void SetPluginMissing(bool missing) {
    const std::string here = dir_ / "bin/bridge";
    const std::string away = dir_ / "bridge";
    std::filesystem::rename(missing ? here : away, missing ? away : here);
  }

  CniPodNetwork& network() { return *network_; }
  std::string Leases() const { return dir_ / "leases"; }
  std::vector<std::string> LeasedAddresses() const {
    std::vector<std::string> addresses;
    for (const auto& file :
         std::filesystem::directory_iterator(Leases() + "/quoll-test")) {
      if (const std::string name = file.path().filename();
          name.find("10.213.") == 0) {
        addresses.push_back(name);
      }
    }
    return addresses;
  }

 private:
  TempDir dir_;
  std::unique_ptr<os::RecordDb> db_;
  std::unique_ptr<os::EventLoop> loop_;
  std::unique_ptr<CniPodNetwork> network_;
};

class RealHarness : public PodNetworkHarness {
 public:
  PodNetwork& network() override { return node_.network(); }
  std::string MakeNetns(const std::string& id) override {
    return node_.MakeNetns(id);
  }
  void DestroyNetns(const std::string& id) override { node_.DestroyNetns(id); }
  void SetDetachFails(bool fails) override { node_.SetPluginMissing(fails); }
  void Restart() override { node_.Restart(); }
  void Poke() override {}

 private:
  RealNode node_;
};

std::unique_ptr<PodNetworkHarness> MakeRealHarness() {
  return std::make_unique<RealHarness>();
}

INSTANTIATE_TEST_SUITE_P(BridgeHostLocalPortmap, PodNetworkContract,
                         ::testing::Values(&MakeRealHarness));

// Listens on port 80 inside of a network namespace, from a thread of its own
// that enters it; sockets keep the namespace that they were made in.
os::UniqueFd ListenIn(const std::string& netns) {
  os::UniqueFd listener;
  std::thread([&] {
    const os::UniqueFd ns(open(netns.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(setns(ns.get(), CLONE_NEWNET), 0) << strerror(errno);
    listener = os::UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(80);
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof address),
              0)
        << strerror(errno);
    ASSERT_EQ(listen(listener.get(), 8), 0) << strerror(errno);
  }).join();
  return listener;
}

// 0, or the errno of connect(2). A SYN that nobody answers gives ETIMEDOUT
// after two seconds.
int Connect(const std::string& ip, uint16_t port) {
  const os::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{2, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof address) == 0
             ? 0
             : errno;
}

PodNetwork::Request RequestFor(RealNode& node, const std::string& id) {
  PodNetwork::Request request;
  request.sandbox_id = id;
  request.netns_path = node.MakeNetns(id);
  request.pod_name = "web";
  request.pod_namespace = "default";
  request.pod_uid = "3f2a";
  return request;
}

absl::Time Soon() {
  return absl::Now() + absl::Seconds(60);
}

TEST(CniPodNetworkRootTest, PodIsReachedAndLeavesNothing) {
  RealNode node;
  PodNetwork::Request request = RequestFor(node, "pod-2");
  auto& port = request.port_mappings.emplace_back();
  port.set_host_port(8080);
  port.set_container_port(80);
  const auto attached = node.network().Attach(request, Soon());
  ASSERT_THAT(attached, IsOk());
  ASSERT_THAT(attached->ips, ::testing::SizeIs(1));
  const os::UniqueFd server = ListenIn(request.netns_path);
  EXPECT_EQ(Connect(attached->ips[0], 80), 0);
  EXPECT_EQ(Connect("10.213.0.1", 8080), 0);  // the node's own address
  // No CHECK here: that of portmap 1.1.1 looks for IPv6 rules, always.

  ASSERT_THAT(node.network().Detach("pod-2", Soon()), IsOk());
  EXPECT_NE(Connect("10.213.0.1", 8080), 0);
  EXPECT_THAT(node.LeasedAddresses(), IsEmpty());
  EXPECT_THAT(RunProgram({"/bin/sh", "-c", "exec ip -o link show type veth"}),
              IsEmpty());
  EXPECT_THAT(RunProgram({"/bin/sh", "-c", "exec iptables-save -t nat"}),
              Not(HasSubstr("pod-2")));
}

TEST(CniPodNetworkRootTest, CheckSeesAnAddressThatWasTakenAway) {
  RealNode node;
  const PodNetwork::Request request = RequestFor(node, "pod-2");
  ASSERT_THAT(node.network().Attach(request, Soon()), IsOk());
  RunProgram({"/usr/bin/nsenter", absl::StrCat("--net=", request.netns_path),
              "ip", "addr", "flush", "dev", "eth0"});
  EXPECT_THAT(node.network().Check("pod-2", Soon()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("CNI CHECK by plugin bridge")));
  EXPECT_THAT(node.network().Detach("pod-2", Soon()), IsOk());
}

TEST(CniPodNetworkRootTest, TwentyPodsAtOnceGetDifferentAddresses) {
  RealNode node;
  std::vector<std::string> addresses(20);
  std::vector<PodNetwork::Request> requests;
  for (size_t i = 0; i < addresses.size(); ++i) {
    requests.push_back(RequestFor(node, absl::StrCat("pod-", i)));
  }
  std::vector<std::thread> callers;
  for (size_t i = 0; i < addresses.size(); ++i) {
    callers.emplace_back([&, i] {
      const auto attached = node.network().Attach(requests[i], Soon());
      EXPECT_THAT(attached, IsOk());
      if (attached.ok()) {
        addresses[i] = attached->ips[0];
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_THAT(node.LeasedAddresses(),
              ::testing::UnorderedElementsAreArray(addresses));
  for (const PodNetwork::Request& request : requests) {
    EXPECT_THAT(node.network().Detach(request.sandbox_id, Soon()), IsOk());
  }
  EXPECT_THAT(node.LeasedAddresses(), IsEmpty());
}

}  // namespace
}  // namespace quoll::runtime
