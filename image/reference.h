// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quoll::image {

// A name of an image in its long form. "nginx" is
// docker.io/library/nginx:latest. A value: copy it freely.
struct Reference {
  std::string registry;    // "docker.io", "127.0.0.1:5000"
  std::string repository;  // "library/nginx"
  std::string tag;         // "" when only a digest is given
  std::string digest;      // "sha256:<64 hex>" or ""

  // registry/repository
  std::string Name() const;
  // registry/repository:tag; "" without a tag
  std::string Tagged() const;
  // registry/repository@digest; "" without a digest
  std::string Digested() const;
  // Everything that is set.
  std::string ToString() const;
};

// Grammar of github.com/distribution/reference, with Docker's defaults
// (docker.io, library/, :latest). InvalidArgument says what is wrong and where.
absl::StatusOr<Reference> ParseReference(absl::string_view text);

// True for "sha256:" and 64 lower-case hex digits.
bool IsDigest(absl::string_view text);

}  // namespace quoll::image
