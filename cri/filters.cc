// SPDX-License-Identifier: Apache-2.0
#include "cri/filters.h"

#include <string>

#include "absl/strings/match.h"
#include "google/protobuf/map.h"

#include "cri/translate_status.h"

namespace quoll::cri {
namespace {

using Labels = google::protobuf::Map<std::string, std::string>;

bool HasAll(const Labels& labels, const Labels& selector) {
  for (const auto& [key, value] : selector) {
    const auto found = labels.find(key);
    if (found == labels.end() || found->second != value) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool Matches(const ::runtime::v1::PodSandboxFilter& filter,
             const runtime::SandboxRecord& record) {
  return absl::StartsWith(record.id(), filter.id()) &&
         (!filter.has_state() ||
          filter.state().state() == ToCriState(record.phase())) &&
         HasAll(record.spec().labels(), filter.label_selector());
}

bool Matches(const ::runtime::v1::ContainerFilter& filter,
             const runtime::ContainerRecord& record) {
  return absl::StartsWith(record.id(), filter.id()) &&
         absl::StartsWith(record.spec().sandbox_id(),
                          filter.pod_sandbox_id()) &&
         (!filter.has_state() ||
          filter.state().state() == ToCriState(record.phase())) &&
         HasAll(record.spec().labels(), filter.label_selector());
}

}  // namespace quoll::cri
