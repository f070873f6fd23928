// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/user.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>

#include "os/unique_fd.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using quoll::testing::IsOk;
using quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class UserTest : public ::testing::Test {
 protected:
  UserTest() {
    ::mkdir((root_ / "etc").c_str(), 0755);
    fd_ = os::UniqueFd(
        ::open(root_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(root_ / name) << text;
  }
  void WriteUsual() {
    Write("etc/passwd",
          "root:x:0:0:root:/root:/bin/sh\n"
          "# a comment\n"
          "+nis:x:7:7:::\n"
          "broken:x:nine:1\n"
          "  app:x:1000:2000::/srv/app:\n"
          "huge:x:4294967296:1:::\n"
          "short:x:5\n"
          "relative:x:1001:1::srv:\n");
    Write("etc/group",
          "root:x:0:\nstaff:x:50:app,other\nbad:x:oops:app\n"
          "web:x:33:other, app\n");
  }
  absl::StatusOr<state::v1::User> FromImage(const std::string& user) {
    return ResolveUser(fd_.get(), {}, false, user);
  }

  quoll::testing::TempDir root_;
  os::UniqueFd fd_;
};

TEST_F(UserTest, EveryFormOfTheImagesUser) {
  WriteUsual();
  struct Case {
    std::string text;
    int64_t uid;
    int64_t gid;
  };
  for (const Case& c : std::vector<Case>{{"", 0, 0},
                                         {"0", 0, 0},
                                         {"app", 1000, 2000},
                                         {"1000", 1000, 2000},
                                         {"77", 77, 0},
                                         {"77:88", 77, 88},
                                         {"app:web", 1000, 33},
                                         {"app:", 1000, 2000},
                                         {":web", 0, 33},
                                         {"2147483647", 2147483647, 0}}) {
    const auto user = FromImage(c.text);
    ASSERT_THAT(user, IsOk()) << c.text;
    EXPECT_EQ(user->uid(), c.uid) << c.text;
    EXPECT_EQ(user->gid(), c.gid) << c.text;
    EXPECT_TRUE(user->has_gid());
  }
}

TEST_F(UserTest, RefusesWhatIsNotThere) {
  WriteUsual();
  for (const char* text : {"nobody", "broken", "+nis", "app:nogroup",
                           "2147483648", "0:99999999999", "-1", "huge"}) {
    EXPECT_THAT(FromImage(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("USER")))
        << text;
  }
}

TEST_F(UserTest, RequestWinsOverTheImage) {
  WriteUsual();
  state::v1::User request;
  request.set_uid(1000);
  auto user = ResolveUser(fd_.get(), request, true, "root");
  ASSERT_THAT(user, IsOk());
  EXPECT_EQ(user->uid(), 1000);
  EXPECT_EQ(user->gid(), 2000);
  request.set_has_gid(true);
  request.set_gid(5);
  EXPECT_EQ(ResolveUser(fd_.get(), request, true, "")->gid(), 5);
  request.set_uid(4711);
  request.set_has_gid(false);
  EXPECT_EQ(ResolveUser(fd_.get(), request, true, "")->gid(), 0);
}

TEST_F(UserTest, MergeAddsTheImagesGroupsAndStrictDoesNot) {
  WriteUsual();
  state::v1::User request;
  request.set_name("app");
  request.add_supplemental_groups(4000);
  request.add_supplemental_groups(50);
  EXPECT_THAT(ResolveUser(fd_.get(), request, true, "")->supplemental_groups(),
              ElementsAre(33, 50, 2000, 4000));
  request.set_strict_supplemental_groups(true);
  EXPECT_THAT(ResolveUser(fd_.get(), request, true, "")->supplemental_groups(),
              ElementsAre(50, 2000, 4000));
}

TEST_F(UserTest, GroupWithoutUserAndBadIdsAreRefused) {
  state::v1::User request;
  request.set_has_gid(true);
  EXPECT_THAT(ResolveUser(fd_.get(), request, true, "0"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.set_uid(-1);
  EXPECT_THAT(ResolveUser(fd_.get(), request, true, "0"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.set_uid(1);
  request.add_supplemental_groups(int64_t{1} << 31);
  EXPECT_THAT(ResolveUser(fd_.get(), request, true, "0"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(UserTest, ImageFromScratchHasNoFiles) {
  EXPECT_EQ(FromImage("12:34")->gid(), 34);
  EXPECT_THAT(FromImage("app"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(HomeDirectory(fd_.get(), 12), "/");
}

TEST_F(UserTest, HostileFilesAreRefused) {
  ASSERT_EQ(::mkfifo((root_ / "etc/passwd").c_str(), 0644), 0);
  EXPECT_FALSE(FromImage("0").ok());
  ASSERT_EQ(::unlink((root_ / "etc/passwd").c_str()), 0);
  Write("etc/passwd", std::string((1 << 20) + 1, 'a'));
  EXPECT_FALSE(FromImage("0").ok());
}

TEST_F(UserTest, AbsoluteLinksStayInTheImage) {
  Write("real", "app:x:9:9:::\n");
  ASSERT_EQ(::symlink("/real", (root_ / "etc/passwd").c_str()), 0);
  EXPECT_EQ(FromImage("app")->uid(), 9);
}

TEST_F(UserTest, HomeComesFromPasswdWhenItIsAbsolute) {
  WriteUsual();
  EXPECT_EQ(HomeDirectory(fd_.get(), 1000), "/srv/app");
  EXPECT_EQ(HomeDirectory(fd_.get(), 1001), "/");
  EXPECT_EQ(HomeDirectory(fd_.get(), 4711), "/");
}

}  // namespace
}  // namespace quoll::runtime
