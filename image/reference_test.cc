// SPDX-License-Identifier: Apache-2.0
#include "image/reference.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quoll::image {
namespace {

using ::testing::HasSubstr;

const char kHex[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Good {
  std::string text;
  std::string long_form;
};

class GoodReferenceTest : public ::testing::TestWithParam<Good> {};

TEST_P(GoodReferenceTest, HasThisLongForm) {
  const auto parsed = ParseReference(GetParam().text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->ToString(), GetParam().long_form);
  // The long form is a fixed point.
  const auto again = ParseReference(parsed->ToString());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->ToString(), GetParam().long_form);
}

INSTANTIATE_TEST_SUITE_P(
    All, GoodReferenceTest,
    ::testing::Values(
        Good{"busybox", "docker.io/library/busybox:latest"},
        Good{"busybox:1.36", "docker.io/library/busybox:1.36"},
        Good{"user/app", "docker.io/user/app:latest"},
        Good{"docker.io/busybox", "docker.io/library/busybox:latest"},
        Good{"index.docker.io/busybox", "docker.io/library/busybox:latest"},
        Good{"index.docker.io/a/b:c", "docker.io/a/b:c"},
        Good{"localhost/app", "localhost/app:latest"},
        Good{"localhost:5000/app:v1", "localhost:5000/app:v1"},
        Good{"127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"},
        Good{"[::1]:5000/app", "[::1]:5000/app:latest"},
        Good{"[2001:db8::1]/app", "[2001:db8::1]/app:latest"},
        Good{"registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"},
        Good{"host:80/a/b/c/d:T_a.g-1", "host:80/a/b/c/d:T_a.g-1"},
        Good{"UPPER/app", "UPPER/app:latest"},  // Docker: a host
        Good{"a.b/x__y/z--w", "a.b/x__y/z--w:latest"},
        Good{"x.y_z-0", "docker.io/library/x.y_z-0:latest"},
        Good{absl::StrCat("busybox@sha256:", kHex),
             absl::StrCat("docker.io/library/busybox@sha256:", kHex)},
        Good{absl::StrCat("h:5000/a:t@sha256:", kHex),
             absl::StrCat("h:5000/a:t@sha256:", kHex)},
        // 63 hex digits are a name like any other.
        Good{std::string(63, 'a'),
             absl::StrCat("docker.io/library/", std::string(63, 'a'),
                          ":latest")},
        Good{absl::StrCat("h.io/", std::string(255, 'a')),
             absl::StrCat("h.io/", std::string(255, 'a'), ":latest")},
        Good{absl::StrCat("a:", std::string(128, 'T')),
             absl::StrCat("docker.io/library/a:", std::string(128, 'T'))}));

class BadReferenceTest : public ::testing::TestWithParam<std::string> {};

TEST_P(BadReferenceTest, IsInvalidArgument) {
  const auto parsed = ParseReference(GetParam());
  ASSERT_FALSE(parsed.ok()) << parsed->ToString();
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadReferenceTest,
    ::testing::Values(
        "", "/", "a/", "/a", "a//b", "docker.io/", "Busybox", "a/Bc",
        "docker.io/a/B", "-a", "a-", "a..b", "a___b", "a_-b", ".a", "a.",
        "-host.io/a", "host-.io/a", "h..io/a", "h:/a", "h:0/a", "h:65536/a",
        "h:99999999999999999999/a", "h:+5/a", "h:5x/a", "[::1/a", "[zz]/a",
        "[::1]x/a", "a:", "a:.t", "a:-t", "a:t/", "a:t t", "a b", "a\n", "a@",
        "@sha256:0", "a@sha256:abc", "a@b@c", "https://h.io/a", "a?b", "a#b",
        "a%2e", "\xff", std::string("a\0b", 3), kHex,
        absl::StrCat("a@sha512:", kHex, kHex), absl::StrCat("a@SHA256:", kHex),
        absl::StrCat("a@sha256:", std::string(64, 'A')),
        absl::StrCat("@sha256:", kHex), absl::StrCat("a:@sha256:", kHex),
        absl::StrCat("h.io/", std::string(256, 'a')),
        absl::StrCat("a:", std::string(129, 't')), std::string(1 << 20, 'a'),
        absl::StrCat(std::string(300, 'h'), ".io/a"), "a/../b", "a/./b"));

TEST(ReferenceTest, ErrorsSayWhatIsWrong) {
  EXPECT_THAT(std::string(ParseReference("a/B").status().message()),
              HasSubstr("lower case"));
  EXPECT_THAT(std::string(ParseReference(kHex).status().message()),
              HasSubstr("image id"));
  EXPECT_THAT(std::string(ParseReference("h:x/a").status().message()),
              HasSubstr("port"));
}

TEST(ReferenceTest, FormsWithoutTheirPartAreEmpty) {
  const auto by_tag = ParseReference("a");
  ASSERT_TRUE(by_tag.ok());
  EXPECT_EQ(by_tag->Digested(), "");
  EXPECT_EQ(by_tag->Tagged(), "docker.io/library/a:latest");
  const auto by_digest = ParseReference(absl::StrCat("a@sha256:", kHex));
  ASSERT_TRUE(by_digest.ok());
  EXPECT_EQ(by_digest->Tagged(), "");
  EXPECT_EQ(by_digest->Name(), "docker.io/library/a");
}

TEST(ReferenceTest, DigestIsSha256InLowerCase) {
  EXPECT_TRUE(IsDigest(absl::StrCat("sha256:", kHex)));
  EXPECT_FALSE(IsDigest(kHex));
  EXPECT_FALSE(IsDigest("sha256:"));
  EXPECT_FALSE(IsDigest(absl::StrCat("sha256:", kHex, "0")));
  EXPECT_FALSE(IsDigest(absl::StrCat("sha256:", std::string(64, 'g'))));
}

}  // namespace
}  // namespace quoll::image
