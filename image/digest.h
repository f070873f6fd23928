// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace quoll::image {

// SHA-256 of a stream (OpenSSL, which uses the CPU's SHA instructions). Not
// thread-safe. Use after Finish() is a bug.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(absl::string_view bytes);
  // "sha256:<64 hex>"
  std::string Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// "sha256:<64 hex>" of `bytes`.
std::string DigestOf(absl::string_view bytes);

}  // namespace quoll::image
