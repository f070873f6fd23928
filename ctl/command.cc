// SPDX-License-Identifier: Apache-2.0
#include "ctl/command.h"

#include <cstdio>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "ctl/print.h"
#include "ctl/table.h"

namespace quoll::ctl {
namespace {

// An absl::Status carries what its code cannot say as a payload under a key.
constexpr absl::string_view kUsage = "quollctl/usage";

}  // namespace

absl::Status UsageError(absl::string_view message) {
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kUsage, absl::Cord());
  return status;
}

bool IsUsageError(const absl::Status& status) {
  return status.GetPayload(kUsage).has_value();
}

void PrintError(const absl::Status& status) {
  if (IsClosedPipe(status)) {
    return;  // `quollctl logs | head`: nobody is left to be told
  }
  const std::string line =
      absl::StrCat("quollctl: ", Printable(status.message()), "\n");
  fputs(line.c_str(), stderr);
}

int ForEachWord(
    const Context& context, const std::vector<std::string>& words,
    const std::function<absl::StatusOr<std::string>(const std::string&)>& one) {
  int code = kExitOk;
  const auto failed = [&code](const absl::Status& status) {
    PrintError(status);
    // What is missing is the milder one: the end is what was asked for.
    code = absl::IsNotFound(status) && code != kExitFailed ? kExitNotFound
                                                           : kExitFailed;
  };
  std::vector<std::string> done;
  for (const std::string& word : words) {
    const absl::StatusOr<std::string> id = one(word);
    if (!id.ok()) {
      failed(id.status());
      continue;
    }
    done.push_back(*id);
    if (!context.json) {
      // At once: the next one may take its time.
      if (const absl::Status s = Print(absl::StrCat(Printable(*id), "\n"));
          !s.ok()) {
        failed(s);
      }
    }
  }
  if (context.json) {
    if (const absl::Status s = PrintJson(done); !s.ok()) {
      failed(s);
    }
  }
  return code;
}

}  // namespace quoll::ctl
