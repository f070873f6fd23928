// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// GoogleTest matchers for absl::Status and absl::StatusOr<T>. The Abseil that
// Debian 12 ships (20220623) has none.
//
//   EXPECT_THAT(Remove(path), IsOk());
//   EXPECT_THAT(ReadFile(path), IsOkAndHolds("text"));
//   EXPECT_THAT(Get(id), StatusIs(absl::StatusCode::kNotFound));
//   EXPECT_THAT(s, StatusIs(absl::StatusCode::kInternal, HasSubstr("disk")));
namespace quoll::testing {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

class IsOkMatcher {
 public:
  using is_gtest_matcher = void;
  template <typename T>
  bool MatchAndExplain(const T& value, std::ostream* os) const {
    if (os != nullptr && !StatusOf(value).ok()) {
      *os << "which is " << StatusOf(value);
    }
    return StatusOf(value).ok();
  }
  void DescribeTo(std::ostream* os) const { *os << "is OK"; }
  void DescribeNegationTo(std::ostream* os) const { *os << "is not OK"; }
};

inline IsOkMatcher IsOk() {
  return IsOkMatcher();
}

class StatusIsMatcher {
 public:
  using is_gtest_matcher = void;
  StatusIsMatcher(::testing::Matcher<absl::StatusCode> code,
                  ::testing::Matcher<const std::string&> message)
      : code_(std::move(code)), message_(std::move(message)) {}
  template <typename T>
  bool MatchAndExplain(const T& value, std::ostream* os) const {
    const absl::Status& status = StatusOf(value);
    const bool matches = code_.Matches(status.code()) &&
                         message_.Matches(std::string(status.message()));
    if (os != nullptr && !matches) {
      *os << "which is " << status;
    }
    return matches;
  }
  void DescribeTo(std::ostream* os) const {
    *os << "has a code that ";
    code_.DescribeTo(os);
    *os << " and a message that ";
    message_.DescribeTo(os);
  }
  void DescribeNegationTo(std::ostream* os) const {
    *os << "not (";
    DescribeTo(os);
    *os << ")";
  }

 private:
  ::testing::Matcher<absl::StatusCode> code_;
  ::testing::Matcher<const std::string&> message_;
};

template <typename Code>
StatusIsMatcher StatusIs(Code&& code) {
  return StatusIsMatcher(
      ::testing::MatcherCast<absl::StatusCode>(std::forward<Code>(code)),
      ::testing::_);
}
template <typename Code, typename Message>
StatusIsMatcher StatusIs(Code&& code, Message&& message) {
  return StatusIsMatcher(
      ::testing::MatcherCast<absl::StatusCode>(std::forward<Code>(code)),
      ::testing::MatcherCast<const std::string&>(
          std::forward<Message>(message)));
}

template <typename Inner>
class IsOkAndHoldsMatcher {
 public:
  explicit IsOkAndHoldsMatcher(Inner inner) : inner_(std::move(inner)) {}

  template <typename StatusOrT>
  operator ::testing::Matcher<StatusOrT>() const {  // NOLINT: as gmock wants
    return ::testing::Matcher<StatusOrT>(new Impl<StatusOrT>(inner_));
  }

 private:
  template <typename StatusOrT>
  class Impl : public ::testing::MatcherInterface<StatusOrT> {
   public:
    using Value = typename std::decay_t<StatusOrT>::value_type;
    explicit Impl(const Inner& inner)
        : inner_(::testing::SafeMatcherCast<const Value&>(inner)) {}

    bool MatchAndExplain(
        StatusOrT result,
        ::testing::MatchResultListener* listener) const override {
      if (!result.ok()) {
        *listener << "which is " << result.status();
        return false;
      }
      return inner_.MatchAndExplain(*result, listener);
    }
    void DescribeTo(std::ostream* os) const override {
      *os << "is OK and holds a value that ";
      inner_.DescribeTo(os);
    }
    void DescribeNegationTo(std::ostream* os) const override {
      *os << "is not OK or holds a value that ";
      inner_.DescribeNegationTo(os);
    }

   private:
    ::testing::Matcher<const Value&> inner_;
  };

  Inner inner_;
};

template <typename Inner>
IsOkAndHoldsMatcher<std::decay_t<Inner>> IsOkAndHolds(Inner&& inner) {
  return IsOkAndHoldsMatcher<std::decay_t<Inner>>(std::forward<Inner>(inner));
}

}  // namespace quoll::testing
