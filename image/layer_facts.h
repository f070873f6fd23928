// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quoll::image {

// What quoll-unpack says about a layer that it has unpacked: on its standard
// output, and in the file "layer" beside it, which also lists the implied
// directories (image/unpack/README.md has the format).
struct LayerFacts {
  std::string diff_id;
  uint64_t uncompressed_bytes = 0;
  uint64_t bytes = 0;  // sum of st_blocks * 512
  uint64_t inodes = 0;
  // Paths below the layer's root ("." is the root) of directories that no
  // member of the layer describes: owner, mode and times are those that a lower
  // layer gives, if one does. Only from a file.
  std::vector<std::string> implied;
};

// DataLoss for text that is not whole. Pure.
absl::StatusOr<LayerFacts> ParseLayerFacts(absl::string_view text);

}  // namespace quoll::image
