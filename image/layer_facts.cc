// SPDX-License-Identifier: Apache-2.0
#include "image/layer_facts.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace quoll::image {
namespace {

// "KEY VALUE\n" in front of `text`.
bool TakeLine(absl::string_view key, absl::string_view* text,
              absl::string_view* value) {
  const size_t end = text->find('\n');
  if (end == absl::string_view::npos) {
    return false;
  }
  *value = text->substr(0, end);
  text->remove_prefix(end + 1);
  return absl::ConsumePrefix(value, key) && absl::ConsumePrefix(value, " ");
}

bool TakeNumber(absl::string_view key, absl::string_view* text,
                uint64_t* number) {
  absl::string_view value;
  return TakeLine(key, text, &value) && absl::SimpleAtoi(value, number);
}

}  // namespace

absl::StatusOr<LayerFacts> ParseLayerFacts(absl::string_view text) {
  LayerFacts facts;
  absl::string_view value;
  uint64_t implied = 0;
  if (!TakeLine("quoll-layer", &text, &value) || value != "1" ||
      !TakeLine("diff-id", &text, &value)) {
    return absl::DataLossError("facts of a layer: unknown format");
  }
  facts.diff_id = std::string(value);
  if (!TakeNumber("uncompressed-bytes", &text, &facts.uncompressed_bytes) ||
      !TakeNumber("bytes", &text, &facts.bytes) ||
      !TakeNumber("inodes", &text, &facts.inodes) ||
      !TakeNumber("implied", &text, &implied)) {
    return absl::DataLossError("facts of a layer: not whole");
  }
  if (absl::ConsumePrefix(&text, "\n") && !text.empty()) {
    facts.implied = absl::StrSplit(
        absl::StripSuffix(text, absl::string_view("\0", 1)), '\0');
    if (facts.implied.size() != implied) {
      return absl::DataLossError("facts of a layer: list is not whole");
    }
  }
  return facts;
}

}  // namespace quoll::image
