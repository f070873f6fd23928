// SPDX-License-Identifier: Apache-2.0
// Runs the program itself on archives and looks at what it wrote.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/compress.h"
#include "tests/support/tar_builder.h"
#include "tests/support/temp_dir.h"

namespace quoll::unpack {
namespace {

using ::quoll::testing::Gzip;
using ::quoll::testing::TarBuilder;
using ::quoll::testing::TempDir;
using ::quoll::testing::Zstd;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// What the program said and wrote.
class Unpacked {
 public:
  explicit Unpacked(const std::string& layer,
                    const std::vector<std::string>& options = {}) {
    const char* const bin = getenv("QUOLL_BIN_DIR");
    const std::string program =
        std::string(bin == nullptr ? "." : bin) + "/quoll-unpack";
    const int in = memfd_create("layer", MFD_CLOEXEC);
    EXPECT_EQ(write(in, layer.data(), layer.size()),
              static_cast<ssize_t>(layer.size()));
    lseek(in, 0, SEEK_SET);
    const int out = memfd_create("out", MFD_CLOEXEC);
    const int err = memfd_create("err", MFD_CLOEXEC);
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(in, 0);
      dup2(out, 1);
      dup2(err, 2);
      std::vector<char*> argv = {const_cast<char*>(program.c_str())};
      for (const std::string& option : options) {
        argv.push_back(const_cast<char*>(option.c_str()));
      }
      argv.push_back(const_cast<char*>(dir_.path().c_str()));
      argv.push_back(nullptr);
      execv(program.c_str(), argv.data());
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ok_ = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    out_ = ReadFile("/proc/self/fd/" + std::to_string(out));
    err_ = ReadFile("/proc/self/fd/" + std::to_string(err));
    close(in);
    close(out);
    close(err);
  }

  bool ok() const { return ok_; }
  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }
  std::string Path(const std::string& name) const {
    return dir_.path() + "/fs/" + name;
  }
  std::string Content(const std::string& name) const {
    return ReadFile(Path(name));
  }
  struct stat Stat(const std::string& name) const {
    struct stat status = {};
    EXPECT_EQ(lstat(Path(name).c_str(), &status), 0) << name;
    return status;
  }
  bool Exists(const std::string& name) const {
    struct stat status;
    return lstat(Path(name).c_str(), &status) == 0;
  }
  bool IsWhiteout(const std::string& name) const {
    const struct stat status = Stat(name);
    return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
  }
  std::string Xattr(const std::string& name, const std::string& key) const {
    std::string value(1024, '\0');
    const ssize_t size =
        lgetxattr(Path(name).c_str(), key.c_str(), value.data(), value.size());
    value.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return value;
  }
  bool IsOpaque(const std::string& name) const {
    return Xattr(name, "trusted.overlay.opaque") == "y";
  }
  // From the file that lists them.
  std::set<std::string> Implied() const {
    const std::string text = ReadFile(dir_.path() + "/layer");
    std::set<std::string> names;
    std::stringstream list(text.substr(text.find("\n\n") + 2));
    for (std::string name; std::getline(list, name, '\0');) {
      names.insert(name);
    }
    return names;
  }

 private:
  TempDir dir_;
  bool ok_ = false;
  std::string out_;
  std::string err_;
};

class UnpackRootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
  }
};

// One archive with every kind of member.
TarBuilder Everything() {
  TarBuilder::Member device;
  device.name = "dev/null";
  device.type = '3';
  device.mode = 0666;
  device.major = 1;
  device.minor = 3;
  TarBuilder::Member fifo;
  fifo.name = "fifo";
  fifo.type = '6';
  fifo.mode = 0600;
  TarBuilder::Member owned;
  owned.name = "bin/su";
  owned.content = "su";
  owned.mode = 06755;
  owned.uid = 12;
  owned.gid = 34;
  return TarBuilder()
      .Directory(".", 0711)
      .Directory("tmp", 01777)
      .Directory("bin", 02755)
      .Pax({{"mtime", "1234567890.123456789"},
            {"SCHILY.xattr.user.note", "hello"},
            {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
            {"SCHILY.xattr.user.overlay.opaque", "y"},
            {"SCHILY.xattr.security.selinux", "label"}})
      .Add(owned)
      .File("bin/plain", "p")
      .HardLink("bin/sudo", "./bin/su")
      .Symlink("sh", "/bin/sh")
      .HardLink("sh2", "sh")
      .Directory("dev")
      .Add(device)
      .Add(fifo)
      .Symlink("lib", "usr/lib")
      .Directory("usr")
      .Directory("usr/lib")
      .File("lib/through", "symlink")
      .File("/absolute", "a");
}

TEST_F(UnpackRootTest, WritesEveryKindOfMember) {
  const Unpacked run(Everything().Finish());
  ASSERT_TRUE(run.ok()) << run.err();
  EXPECT_EQ(run.Stat(".").st_mode & 07777, 0711u);
  EXPECT_EQ(run.Stat("tmp").st_mode & 07777, 01777u);
  EXPECT_EQ(run.Stat("tmp").st_mtim.tv_sec, 1'000'000'000);
  const struct stat su = run.Stat("bin/su");
  EXPECT_EQ(su.st_mode, S_IFREG | 06755u);
  EXPECT_EQ(su.st_uid, 12u);
  EXPECT_EQ(su.st_gid, 34u);
  EXPECT_EQ(su.st_nlink, 2u);
  EXPECT_EQ(su.st_mtim.tv_sec, 1234567890);
  EXPECT_EQ(su.st_mtim.tv_nsec, 123456789);
  EXPECT_EQ(run.Xattr("bin/su", "user.note"), "hello");
  EXPECT_EQ(run.Xattr("bin/su", "trusted.overlay.redirect"), "");
  EXPECT_EQ(run.Xattr("bin/su", "user.overlay.opaque"), "");
  EXPECT_EQ(run.Xattr("bin/su", "security.selinux"), "");
  EXPECT_EQ(run.Stat("bin/plain").st_gid, 0u);
  EXPECT_EQ(run.Stat("bin").st_mtim.tv_sec, 1'000'000'000);
  EXPECT_TRUE(S_ISLNK(run.Stat("sh2").st_mode));
  EXPECT_EQ(run.Stat("dev/null").st_rdev, makedev(1, 3));
  EXPECT_EQ(run.Stat("dev/null").st_mode, S_IFCHR | 0666u);
  EXPECT_EQ(run.Stat("fifo").st_mode, S_IFIFO | 0600u);
  EXPECT_EQ(run.Content("usr/lib/through"), "symlink");
  EXPECT_EQ(run.Content("absolute"), "a");
  EXPECT_TRUE(run.Implied().empty());
  EXPECT_THAT(run.out(),
              MatchesRegex("quoll-layer 1\ndiff-id sha256:[0-9a-f]+\n"
                           "uncompressed-bytes [0-9]+\nbytes [0-9]+\n"
                           "inodes 14\nimplied 0\n"));
}

TEST_F(UnpackRootTest, KeepsFileCapabilities) {
  // A version 2 capability: cap_net_raw+ep (linux/capability.h).
  const std::string capability("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                               20);
  TarBuilder::Member ping;
  ping.name = "ping";
  ping.uid = 5;
  const Unpacked run(
      TarBuilder()
          .Pax({{"SCHILY.xattr.security.capability", capability}})
          .Add(ping)
          .Finish());
  ASSERT_TRUE(run.ok()) << run.err();
  EXPECT_EQ(run.Xattr("ping", "security.capability"), capability);
}

TEST_F(UnpackRootTest, EveryCompressionGivesTheSameDiffId) {
  const std::string tar =
      Everything().Finish() + std::string(5000, '\0');  // padding is hashed
  const std::string half = tar.substr(0, tar.size() / 2);
  const std::string rest = tar.substr(tar.size() / 2);
  const Unpacked plain(tar);
  ASSERT_TRUE(plain.ok()) << plain.err();
  const std::string skippable("\x50\x2a\x4d\x18\x04\0\0\0abcd", 12);
  for (const std::string& layer :
       {Gzip(tar), Gzip(half) + Gzip(rest), Gzip(tar) + std::string(700, '\0'),
        Zstd(tar), Zstd(half) + skippable + Zstd(rest),
        skippable + Zstd(tar)}) {
    const Unpacked run(layer);
    ASSERT_TRUE(run.ok()) << run.err();
    EXPECT_EQ(run.out(), plain.out());
  }
  std::string changed = tar;
  changed.back() = 'x';
  const Unpacked other(changed);
  ASSERT_TRUE(other.ok()) << other.err();
  EXPECT_NE(other.out(), plain.out());
}

TEST_F(UnpackRootTest, RefusesBrokenCompression) {
  const std::string tar = TarBuilder().File("f", "content").Finish();
  std::string bad_crc = Gzip(tar);
  bad_crc[bad_crc.size() - 6] ^= 1;
  std::string bad_zstd = Zstd(tar);
  bad_zstd[4] |= 0x08;  // a reserved bit of the frame's header
  const std::vector<std::pair<std::string, std::string>> cases = {
      {Gzip(tar).substr(0, Gzip(tar).size() - 3), "15 gzip stream ends"},
      {Gzip(tar).substr(0, 30), "15 gzip stream ends"},
      {Gzip(tar).substr(0, 2), "15 gzip stream ends"},
      {bad_crc, "15 gzip stream: wrong checksum"},
      {Gzip(tar) + "garbage", "15 garbage after"},
      {Zstd(tar).substr(0, Zstd(tar).size() - 3), "15 zstd stream ends"},
      {bad_zstd, "15 zstd stream"},
      {"BZh91AY", "3 layer is compressed by bzip2"},
      {std::string("\xfd\x37zXZ\0abc", 9), "3 layer is compressed by bzip2"},
  };
  for (const auto& [layer, error] : cases) {
    const Unpacked run(layer);
    EXPECT_FALSE(run.ok());
    EXPECT_THAT(run.err(), StartsWith(error));
    EXPECT_EQ(run.out(), "");
  }
}

TEST_F(UnpackRootTest, LaterMembersWin) {
  const Unpacked run(TarBuilder()
                         .File("f", "one")
                         .File("f", "two")
                         .Directory("d", 0700)
                         .File("d/kept", "k")
                         .Directory("d", 0755)
                         .Directory("gone")
                         .Directory("gone/a")
                         .File("gone/a/b", "x")
                         .File("gone", "now a file")
                         .File("g", "file")
                         .Directory("g")
                         .Symlink("l", "f")
                         .File("l", "not through the link")
                         .Finish());
  ASSERT_TRUE(run.ok()) << run.err();
  EXPECT_EQ(run.Content("f"), "two");
  EXPECT_EQ(run.Stat("d").st_mode & 0777, 0755u);
  EXPECT_EQ(run.Content("d/kept"), "k");
  EXPECT_EQ(run.Content("gone"), "now a file");
  EXPECT_TRUE(S_ISDIR(run.Stat("g").st_mode));
  EXPECT_EQ(run.Content("l"), "not through the link");
}

TEST_F(UnpackRootTest, Whiteouts) {
  const Unpacked run(TarBuilder()
                         .Whiteout("a/hidden")
                         .Whiteout("before")
                         .File("before", "entry")
                         .File("after", "entry")
                         .Whiteout("after")
                         .Whiteout("d1")
                         .Directory("d1")
                         .Directory("d2")
                         .Whiteout("d2")
                         .Whiteout("d3")
                         .File("d3/sub/file", "x")
                         .Opaque("d4")
                         .File("d4/new", "n")
                         .Whiteout("twice")
                         .Whiteout("twice")
                         .File(".wh..wh.plnk/123", "aufs")
                         .File("x/.wh..wh.aufs", "aufs")
                         .Finish());
  ASSERT_TRUE(run.ok()) << run.err();
  EXPECT_TRUE(run.IsWhiteout("a/hidden"));
  EXPECT_EQ(run.Content("before"), "entry");
  EXPECT_EQ(run.Content("after"), "entry");
  EXPECT_TRUE(run.IsOpaque("d1"));
  EXPECT_TRUE(run.IsOpaque("d2"));
  EXPECT_TRUE(run.IsOpaque("d3"));
  EXPECT_EQ(run.Content("d3/sub/file"), "x");
  EXPECT_TRUE(run.IsOpaque("d4"));
  EXPECT_FALSE(run.IsOpaque("a"));
  EXPECT_TRUE(run.IsWhiteout("twice"));
  EXPECT_FALSE(run.Exists("x"));
  EXPECT_FALSE(run.Exists(".wh..wh.plnk"));
}

TEST_F(UnpackRootTest, ListsImpliedDirectories) {
  const Unpacked run(TarBuilder()
                         .File("a/b/c", "x")
                         .Directory("a", 0700)
                         .File("new\nline/f", "")
                         .File("replaced/x/y", "")
                         .File("replaced", "file")
                         .Finish());
  ASSERT_TRUE(run.ok()) << run.err();
  EXPECT_EQ(run.Implied(), (std::set<std::string>{".", "a/b", "new\nline"}));
  EXPECT_EQ(run.Stat("a").st_mode & 07777, 0700u);
  EXPECT_EQ(run.Stat("a/b").st_mode & 07777, 0755u);
  EXPECT_EQ(run.Stat("a/b").st_mtim.tv_sec, 0);
}

TEST_F(UnpackRootTest, NothingIsInheritedFromSetGroupIdDirectories) {
  TarBuilder::Member dir;
  dir.name = "d/";
  dir.type = '5';
  dir.mode = 02775;
  dir.gid = 50;
  const Unpacked run(
      TarBuilder().Add(dir).File("d/f", "").File("d/e/g", "").Finish());
  ASSERT_TRUE(run.ok()) << run.err();
  EXPECT_EQ(run.Stat("d/f").st_gid, 0u);
  EXPECT_EQ(run.Stat("d/e").st_gid, 0u);
  EXPECT_EQ(run.Stat("d/e").st_mode & 07777, 0755u);
}

// Nothing outside of the layer changes, whatever an archive tries.
TEST_F(UnpackRootTest, StaysInside) {
  TempDir outside;
  std::ofstream(outside / "victim") << "safe";
  const std::string victim = outside / "victim";
  const Unpacked run(TarBuilder()
                         .Symlink("out", outside.path())
                         .File("out/victim", "evil")
                         .Symlink("up", "../../../../../../.." + outside.path())
                         .File("up/victim", "evil")
                         .Symlink("file", victim)
                         .File("file", "replaces the link")
                         .Finish());
  ASSERT_TRUE(run.ok()) << run.err();
  EXPECT_EQ(ReadFile(victim), "safe");
  // Absolute links lead to the same path inside.
  EXPECT_EQ(run.Content(victim.substr(1)), "evil");
  EXPECT_EQ(run.Content("file"), "replaces the link");
}

TEST_F(UnpackRootTest, RefusesHostileMembers) {
  TarBuilder::Member device;
  device.name = "dev";
  device.type = '4';
  device.major = 5000;
  TarBuilder::Member owner;
  owner.name = "f";
  TarBuilder loop;
  loop.Symlink("a", "b").Symlink("b", "a").File("a/f", "");
  const std::vector<std::pair<TarBuilder, std::string>> cases = {
      {TarBuilder().File("../f", ""), "has '..'"},
      {TarBuilder().File("a/../../f", ""), "has '..'"},
      {TarBuilder().Symlink("l", "/").HardLink("h", "../etc/passwd"),
       "has '..'"},
      {TarBuilder().HardLink("h", "/etc/passwd"), "no file of this layer"},
      {TarBuilder().Whiteout("w").HardLink("h", "w"), "no file of this layer"},
      {TarBuilder().Directory("d").HardLink("h", "d"), "no file of this layer"},
      {TarBuilder().File("f", "").File("f/g", ""), "no directory"},
      {TarBuilder().File(".", ""), "root, but not a directory"},
      {TarBuilder().Symlink("/", "x"), "root, but not a directory"},
      {TarBuilder().File(".wh.", ""), "whiteout of nothing"},
      {TarBuilder().File("a/.wh..", ""), "whiteout of nothing"},
      {TarBuilder().File("a/.wh...", ""), "whiteout of nothing"},
      {TarBuilder().GnuLong('L', std::string(256, 'n')).File("x", ""),
       "no file can have"},
      {TarBuilder().Add(device), "device number"},
      {TarBuilder().Pax({{"uid", "4294967295"}}).Add(owner), "owner"},
      {loop, "Too many levels"},
  };
  for (const auto& [archive, error] : cases) {
    const Unpacked run(archive.Finish());
    EXPECT_FALSE(run.ok()) << error;
    EXPECT_THAT(run.err(), StartsWith("3 "));
    EXPECT_THAT(run.err(), HasSubstr(error));
  }
}

TEST_F(UnpackRootTest, DeepTreesAreMadeAndReplaced) {
  std::string path;
  for (int i = 0; i < 500; ++i) {
    path += "d/";
  }
  const Unpacked deep(
      TarBuilder().GnuLong('L', path + "f").File("x", "deep").Finish());
  ASSERT_TRUE(deep.ok()) << deep.err();
  EXPECT_THAT(deep.out(), HasSubstr("inodes 502\n"));
  const Unpacked replaced(TarBuilder()
                              .GnuLong('L', path + "f")
                              .File("x", "deep")
                              .File("d", "flat")
                              .Finish());
  ASSERT_TRUE(replaced.ok()) << replaced.err();
  EXPECT_THAT(replaced.out(), HasSubstr("inodes 2\n"));
  // A symlink that doubles the length: the path itself may not get longer.
  path.clear();
  for (int i = 0; i < 20; ++i) {
    path += std::string(150, 'd') + "/";
  }
  const Unpacked doubled(TarBuilder()
                             .GnuLong('L', path)
                             .Directory("x")
                             .GnuLong('K', path)
                             .Symlink("l", "x")
                             .GnuLong('L', "l/" + path + "f")
                             .File("x", "")
                             .Finish());
  EXPECT_FALSE(doubled.ok());
  EXPECT_THAT(doubled.err(), StartsWith("3 "));
}

TEST_F(UnpackRootTest, SparseFilesStaySparse) {
  const Unpacked run(TarBuilder()
                         .Pax({{"GNU.sparse.size", "1000000000"},
                               {"GNU.sparse.map", "4096,3"}})
                         .File("s", "abc")
                         .Finish());
  ASSERT_TRUE(run.ok()) << run.err();
  EXPECT_EQ(run.Stat("s").st_size, 1'000'000'000);
  EXPECT_LT(run.Stat("s").st_blocks, 100);
  std::ifstream in(run.Path("s"));
  std::string text(3, '\0');
  in.seekg(4096).read(text.data(), 3);
  EXPECT_EQ(text, "abc");
}

TEST_F(UnpackRootTest, Limits) {
  const std::string many =
      TarBuilder().File("a", "").File("b", "").File("c", "").Finish();
  EXPECT_TRUE(Unpacked(many, {"--max-entries=3"}).ok());
  EXPECT_THAT(Unpacked(many, {"--max-entries=2"}).err(),
              StartsWith("8 layer has more than 2"));
  const std::string implied =
      TarBuilder().File("a/b/c/d", "").File("e", "").Finish();
  EXPECT_THAT(Unpacked(implied, {"--max-entries=2"}).err(), StartsWith("8 "));
  const std::string big =
      TarBuilder().File("a", std::string(100'000, 'x')).Finish();
  EXPECT_THAT(Unpacked(big, {"--max-bytes=50000"}).err(),
              StartsWith("8 layer is"));
  EXPECT_THAT(Unpacked(TarBuilder()
                           .Pax({{"GNU.sparse.size", "1000000"},
                                 {"GNU.sparse.map", ""}})
                           .File("s", "")
                           .Finish(),
                       {"--max-bytes=50000"})
                  .err(),
              StartsWith("8 member"));
}

// 2 GiB of zeros in some 200 KiB of zstd.
TEST_F(UnpackRootTest, RefusesDecompressionBombs) {
  TarBuilder::Member file;
  file.name = "bomb";
  file.claimed_size = int64_t{2} << 30;
  std::string bomb = Zstd(TarBuilder::Header(file));
  const std::string zeros = Zstd(std::string(64 << 20, '\0'));
  for (int i = 0; i < 32; ++i) {
    bomb += zeros;
  }
  const Unpacked run(bomb);
  EXPECT_FALSE(run.ok());
  EXPECT_THAT(run.err(), HasSubstr("bomb"));
}

TEST_F(UnpackRootTest, SaysHowItIsCalled) {
  EXPECT_THAT(Unpacked("", {"--nonsense"}).err(),
              StartsWith("3 unknown option"));
  EXPECT_THAT(Unpacked("", {"--max-bytes=x"}).err(), StartsWith("3 "));
}

TEST_F(UnpackRootTest, EmptyLayers) {
  EXPECT_TRUE(Unpacked("").ok());
  EXPECT_TRUE(Unpacked(Gzip(std::string(1024, '\0'))).ok());
}

}  // namespace
}  // namespace quoll::unpack
