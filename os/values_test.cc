// SPDX-License-Identifier: Apache-2.0
// The small ones: annotate, random_id, unique_fd, poll_timeout, utf8, and the
// errno table of quoll-helper.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <limits>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/annotate.h"
#include "os/helper/report.h"
#include "os/poll_timeout.h"
#include "os/random_id.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"
#include "os/utf8.h"
#include "tests/support/status_matchers.h"

namespace quoll::os {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;

TEST(Utf8Test, ReplacesWhatIsNone) {
  for (const absl::string_view good :
       {absl::string_view(), absl::string_view("line\n\t\"\\ \xC3\xA9"),
        absl::string_view("\0", 1), absl::string_view("\xED\x9F\xBF"),
        absl::string_view("\xF4\x8F\xBF\xBF")}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
    EXPECT_EQ(ToUtf8(good), good);
  }
  const std::pair<absl::string_view, absl::string_view> bad[] = {
      {"a\xC3", "a\xEF\xBF\xBD"},                // cut
      {"\xC3(", "\xEF\xBF\xBD("},                // not continued
      {"\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},  // overlong
      {"\xED\xA0\x80z", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz"},
      {"\xF8", "\xEF\xBF\xBD"},
  };
  for (const auto& [text, replaced] : bad) {
    EXPECT_FALSE(IsUtf8(text)) << replaced;
    EXPECT_EQ(ToUtf8(text), replaced);
    EXPECT_TRUE(IsUtf8(ToUtf8(text)));
  }
}

TEST(AnnotateTest, PutsTheSubjectFirstAndKeepsTheRest) {
  absl::Status status = absl::NotFoundError("gone");
  status.SetPayload("type", absl::Cord("detail"));
  const absl::Status annotated = Annotate(status, "sandbox 3f2a");
  EXPECT_THAT(annotated,
              StatusIs(absl::StatusCode::kNotFound, "sandbox 3f2a: gone"));
  EXPECT_EQ(annotated.GetPayload("type"), absl::Cord("detail"));
  EXPECT_THAT(Annotate(absl::OkStatus(), "x"), IsOk());
}

TEST(FirstErrorTest, KeepsTheFirstAndTellsTheSecond) {
  const absl::Status a = absl::NotFoundError("a");
  const absl::Status b = absl::InternalError("b");
  EXPECT_THAT(FirstError(a, b),
              StatusIs(absl::StatusCode::kNotFound, "a; then b"));
  EXPECT_EQ(FirstError(a, absl::OkStatus()), a);
  EXPECT_EQ(FirstError(absl::OkStatus(), b), b);
}

TEST(RandomIdTest, IsHexAndDiffers) {
  const std::string id = RandomHexId();
  EXPECT_EQ(id.size(), 64u);
  EXPECT_TRUE(IsHexId(id));
  EXPECT_NE(id, RandomHexId());
  EXPECT_EQ(RandomHexId(3).size(), 6u);
  EXPECT_FALSE(IsHexId(""));
  EXPECT_FALSE(IsHexId("ABC"));
  EXPECT_FALSE(IsHexId("../x"));
  EXPECT_FALSE(IsHexId(id + "0"));
}

TEST(UniqueFdTest, MovesAndCloses) {
  UniqueFd a(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = a.get();
  UniqueFd b(std::move(a));
  EXPECT_FALSE(a.valid());  // NOLINT: a moved-from descriptor is empty
  UniqueFd& alias = b;
  b = std::move(alias);
  EXPECT_EQ(b.get(), number);
  b = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
  EXPECT_THAT(b.Close(), IsOk());
  EXPECT_THAT(b.Close(), IsOk());
  EXPECT_THAT(UniqueFd(99999).Close(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(UniqueFdTest, DestructorKeepsErrno) {
  errno = ENOENT;
  { const UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC)); }
  { const UniqueFd bad(99999); }
  EXPECT_EQ(errno, ENOENT);
}

TEST(PollTimeoutTest, RoundsUpAndCuts) {
  EXPECT_EQ(PollTimeoutMs(absl::InfinitePast()), 0);
  EXPECT_GE(PollTimeoutMs(absl::Now() + absl::Microseconds(999)), 0);
  EXPECT_EQ(PollTimeoutMs(absl::InfiniteFuture()),
            std::numeric_limits<int>::max());
}

TEST(HelperReportTest, TranslatesErrnosAsAbslDoes) {
  for (int error = 1; error < 134; ++error) {
    EXPECT_EQ(static_cast<int>(helper::CodeOfErrno(error)),
              static_cast<int>(absl::ErrnoToStatusCode(error)))
        << error;
  }
}

absl::StatusOr<int> Twice(absl::StatusOr<int> value) {
  QUOLL_RETURN_IF_ERROR(absl::OkStatus());
  QUOLL_ASSIGN_OR_RETURN(const int number, std::move(value));
  return 2 * number;
}

TEST(StatusMacrosTest, PassErrorsOn) {
  EXPECT_THAT(Twice(21), quoll::testing::IsOkAndHolds(42));
  EXPECT_THAT(Twice(absl::DataLossError("x")),
              StatusIs(absl::StatusCode::kDataLoss, "x"));
}

}  // namespace
}  // namespace quoll::os
