// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "image/http_client.h"
#include "image/image_source.h"
#include "image/reference.h"
#include "image/registry_source.h"

namespace quoll::image {

// Opens repositories of registries. Keeps connections between them. Must
// outlive the sources. Thread-safe; does no I/O itself.
class RegistryClient {
 public:
  explicit RegistryClient(RegistryOptions options)
      : options_(std::move(options)), http_(options_.http) {}

  std::unique_ptr<ImageSource> Open(const Reference& reference,
                                    Credentials credentials) {
    return std::make_unique<RegistrySource>(options_, http_, reference,
                                            std::move(credentials));
  }

 private:
  const RegistryOptions options_;
  HttpClient http_;
};

}  // namespace quoll::image
