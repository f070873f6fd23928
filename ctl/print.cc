// SPDX-License-Identifier: Apache-2.0
#include "ctl/print.h"

#include <errno.h>

#include <cstdio>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

absl::Status Write(FILE* file, const char* name, absl::string_view text) {
  if (fwrite(text.data(), 1, text.size(), file) == text.size() &&
      fflush(file) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  // Cancelled stands for EPIPE here: see IsClosedPipe.
  return error == EPIPE
             ? absl::CancelledError(absl::StrCat(name, " is closed"))
             : absl::ErrnoToStatus(error, absl::StrCat("write to ", name));
}

// One string as JSON, quotes included.
absl::StatusOr<std::string> Quote(const std::string& word) {
  google::protobuf::Value value;
  value.set_string_value(word);
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(value, &text);
  if (!status.ok()) {
    return absl::InternalError("cannot show a string as JSON");
  }
  return text;
}

}  // namespace

absl::Status Print(absl::string_view text) {
  return Write(stdout, "standard output", text);
}

absl::Status PrintToStderr(absl::string_view text) {
  return Write(stderr, "standard error", text);
}

bool IsClosedPipe(const absl::Status& status) {
  return absl::IsCancelled(status) &&
         absl::EndsWith(status.message(), " is closed");
}

absl::Status PrintJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat(
        "cannot show this as JSON: ",
        absl::string_view(status.message().data(), status.message().size())));
  }
  return Print(text);
}

absl::Status PrintJson(const std::vector<std::string>& words) {
  std::string text = "[";
  for (const std::string& word : words) {
    QUOLL_ASSIGN_OR_RETURN(const std::string json, Quote(word));
    absl::StrAppend(&text, text.size() > 1 ? ",\n " : "\n ", json);
  }
  return Print(absl::StrCat(text, words.empty() ? "]\n" : "\n]\n"));
}

absl::Status PrintJson(
    const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string text = "{";
  for (const auto& [key, value] : fields) {
    QUOLL_ASSIGN_OR_RETURN(const std::string json, Quote(value));
    absl::StrAppend(&text, text.size() > 1 ? ",\n \"" : "\n \"", key,
                    "\": ", json);
  }
  return Print(absl::StrCat(text, "\n}\n"));
}

}  // namespace quoll::ctl
