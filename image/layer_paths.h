// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "os/random_id.h"

// Every path of the layer store. Nothing else builds one.
//
//   ROOT (/var/lib/quoll/layers)   mode 0700: layers hold set-user-ID programs
//   ├── <64 hex digits>/           one layer, by the hex of its diff id
//   │   ├── fs/                    its root directory, overlay format
//   │   └── layer                  what quoll-unpack found out (layer_facts.h)
//   └── .tmp-<random>/             being unpacked, or being removed
namespace quoll::image {

struct LayerPaths {
  std::string root;  // absolute

  std::string Layer(absl::string_view hex) const {
    return absl::StrCat(root, "/", hex);
  }
  static std::string Fs(absl::string_view layer) {
    return absl::StrCat(layer, "/fs");
  }
  static std::string Facts(absl::string_view layer) {
    return absl::StrCat(layer, "/layer");
  }
  std::string NewTemporary() const {
    return absl::StrCat(root, "/.tmp-", os::RandomHexId(8));
  }
  static bool IsTemporary(absl::string_view name) {
    return absl::StartsWith(name, ".tmp-");
  }
  static bool IsLayer(absl::string_view name) {
    return name.size() == 64 && os::IsHexId(name);
  }
  // The hex of "sha256:<hex>"; "" for anything else.
  static std::string HexOf(absl::string_view diff_id) {
    return absl::ConsumePrefix(&diff_id, "sha256:") && IsLayer(diff_id)
               ? std::string(diff_id)
               : std::string();
  }
};

}  // namespace quoll::image
