// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/fake_spec_input.h"
#include "runtime/launch/oci_parts.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;
using quoll::testing::IsOk;
using quoll::testing::IsOkAndHolds;
using quoll::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<std::string> Destinations(const json& mounts) {
  std::vector<std::string> found;
  for (const json& mount : mounts) {
    found.push_back(mount["destination"]);
  }
  return found;
}

json MountOn(const json& mounts, const std::string& destination) {
  for (const json& mount : mounts) {
    if (mount["destination"] == destination) {
      return mount;
    }
  }
  return nullptr;
}

json Mounts(const FakeSpecInput& fake) {
  const auto part = MountsJson(fake.Input());
  EXPECT_THAT(part, IsOk());
  return part.ok() ? part->mounts : json::array();
}

TEST(OciMountsTest, EveryContainerHasTheseInThisOrder) {
  const json mounts = Mounts(FakeSpecInput());
  EXPECT_THAT(Destinations(mounts),
              ElementsAre("/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys",
                          "/sys/fs/cgroup", "/etc/resolv.conf", "/etc/hostname",
                          "/dev/shm"));
  EXPECT_THAT(MountOn(mounts, "/sys")["options"], Contains("ro"));
  EXPECT_EQ(MountOn(mounts, "/dev/shm")["source"], "/p/shm");
}

TEST(OciMountsTest, PrivilegedWritesToSysfsAndCgroups) {
  FakeSpecInput fake;
  fake.Privilege();
  const json mounts = Mounts(fake);
  EXPECT_THAT(MountOn(mounts, "/sys")["options"], Contains("rw"));
  EXPECT_THAT(MountOn(mounts, "/sys/fs/cgroup")["options"], Contains("rw"));
}

TEST(OciMountsTest, SortsByDepthAndKeepsTheOrderOtherwise) {
  FakeSpecInput fake;
  fake.AddMount("/h/1", "/a/b/c");
  fake.AddMount("/h/2", "/z");
  fake.AddMount("/h/3", "/a");
  fake.AddMount("/h/4", "/a/x/../b/");
  fake.patches.resize(1);
  fake.patches[0].mounts = {{"/a", "bind", "/over", {"bind"}}};
  const std::vector<std::string> all = Destinations(Mounts(fake));
  EXPECT_EQ(
      std::vector<std::string>(all.begin() + 6, all.end()),
      (std::vector<std::string>{"/z", "/a", "/etc/resolv.conf", "/etc/hostname",
                                "/dev/shm", "/a/b", "/a/b/c", "/a"}));
}

TEST(OciMountsTest, ARequestReplacesWhatIsThereOrBelow) {
  FakeSpecInput fake;
  fake.AddMount("/h/shm", "/dev/shm/");
  json mounts = Mounts(fake);
  EXPECT_EQ(MountOn(mounts, "/dev/shm")["source"], "/h/shm");
  EXPECT_THAT(Destinations(mounts), Contains("/dev/pts"));

  fake.AddMount("/dev", "/dev");
  mounts = Mounts(fake);
  EXPECT_THAT(Destinations(mounts), Not(Contains("/dev/pts")));
  EXPECT_EQ(MountOn(mounts, "/dev")["type"], "bind");
}

TEST(OciMountsTest, OptionsOfARequest) {
  FakeSpecInput fake;
  auto& mount = fake.AddMount("/h", "/m");
  mount.set_readonly(true);
  mount.add_options("noexec");
  EXPECT_EQ(MountOn(Mounts(fake), "/m")["options"],
            json({"rbind", "rprivate", "ro", "noexec"}));
  mount.set_propagation(state::v1::MountRequest::HOST_TO_CONTAINER);
  const auto part = MountsJson(fake.Input());
  EXPECT_THAT(MountOn(part->mounts, "/m")["options"], Contains("rslave"));
  EXPECT_EQ(part->rootfs_propagation, "rslave");
  mount.add_options("suid");
  EXPECT_THAT(MountsJson(fake.Input()), StatusIs(kInvalid, HasSubstr("suid")));
}

TEST(OciMountsTest, RefusesBadPlaces) {
  const std::vector<std::string> paths = {"", "relative", "/", "/..",
                                          std::string("/a\0b", 4)};
  for (const std::string& path : paths) {
    FakeSpecInput fake;
    fake.AddMount("/h", path);
    EXPECT_THAT(MountsJson(fake.Input()), StatusIs(kInvalid)) << path;
  }
}

TEST(OciMountsTest, RecursiveReadonlyIsRefusedInTheKubeletsWords) {
  FakeSpecInput fake;
  auto& mount = fake.AddMount("/h", "/m");
  mount.set_recursive_readonly(true);
  EXPECT_THAT(MountsJson(fake.Input()), StatusIs(kInvalid));
  mount.set_readonly(true);
  EXPECT_THAT(
      BuildOciSpec(fake.Input()),
      StatusIs(absl::StatusCode::kUnknown, StartsWith("RROUnsupported")));
}

TEST(OciMountsTest, SourcesMustBeLookedUp) {
  FakeSpecInput fake;
  fake.AddMount("/h", "/m");
  fake.mount_sources.clear();
  EXPECT_THAT(MountsJson(fake.Input()), StatusIs(absl::StatusCode::kInternal));
}

TEST(SharedMountTest, LooksAtTheMountThatHoldsTheSource) {
  const std::string text =
      "1 0 0:1 / / rw shared:1 - ext4 /dev/a rw\n"
      "2 1 0:2 / /data rw - xfs /dev/b rw\n"
      "3 2 0:3 / /data/in rw shared:7 - tmpfs tmpfs rw\n"
      "4 1 0:4 / /top rw shared:8 - tmpfs tmpfs rw\n"
      "5 1 0:5 / /top rw master:2 - tmpfs tmpfs rw\n";
  EXPECT_THAT(CheckSharedMount("/home", text), IsOk());
  EXPECT_THAT(CheckSharedMount("/database", text), IsOk());
  EXPECT_THAT(CheckSharedMount("/data/in/x", text), IsOk());
  EXPECT_THAT(CheckSharedMount("/data/x", text),
              StatusIs(kInvalid, HasSubstr("make-rshared")));
  EXPECT_THAT(CheckSharedMount("/top/x", text), StatusIs(kInvalid));
  EXPECT_THAT(CheckSharedMount("/x", ""), StatusIs(kInvalid));
}

TEST(NormalizePathTest, IsLexical) {
  EXPECT_THAT(NormalizePath("/a//b/./../c/"), IsOkAndHolds("/a/c"));
  EXPECT_THAT(NormalizePath("/../.."), IsOkAndHolds("/"));
  EXPECT_THAT(NormalizePath("a"), StatusIs(kInvalid));
}

}  // namespace
}  // namespace quoll::runtime
