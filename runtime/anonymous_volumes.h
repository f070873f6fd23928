// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "runtime/extension.h"
#include "runtime/paths.h"

namespace quoll::runtime {

// Directories for the VOLUMEs of an image that no mount of the container
// covers: STATE/volumes/ID/N, filled with what the image has there, removed
// with the container. Thread-safe.
class AnonymousVolumes : public ContainerExtension {
 public:
  explicit AnonymousVolumes(Paths paths) : paths_(std::move(paths)) {}

  absl::string_view name() const override { return "anonymous volumes"; }
  absl::Status Recover(absl::Span<const ContainerRecord> known) override;
  absl::StatusOr<LaunchPatch> Prepare(const LaunchContext& context) override;
  absl::Status OnInitCreated(const ContainerRecord& container) override;
  absl::Status OnResourcesUpdated(const ContainerRecord& container) override;
  absl::Status OnStopped(const ContainerRecord& container) override;
  absl::Status Cleanup(absl::string_view container_id) override;

 private:
  const Paths paths_;
};

}  // namespace quoll::runtime
