// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "google/protobuf/repeated_ptr_field.h"
#include <grpcpp/support/sync_stream.h>

namespace quoll::cri {

// A message is sent when it has reached this: far below the kubelet's limit of
// 16 MiB even if the last object is as large as labels and annotations get
// (256 KiB each in Kubernetes).
inline constexpr size_t kStreamBatchBytes = 1u << 20;

// Sends each of `items` once, in order, in as few messages as fit. `items_of`
// gives the repeated field of a response. Cancelled when the client has left.
template <typename Response, typename Item>
absl::Status SendInBatches(
    google::protobuf::RepeatedPtrField<Item>& items,
    google::protobuf::RepeatedPtrField<Item>* (Response::*items_of)(),
    grpc::ServerWriter<Response>* writer) {
  Response batch;
  size_t bytes = 0;
  const auto flush = [&] {
    const bool sent = writer->Write(batch);
    batch.Clear();
    bytes = 0;
    return sent;
  };
  for (Item& item : items) {
    bytes += item.ByteSizeLong();
    (batch.*items_of)()->Add()->Swap(&item);
    if (bytes >= kStreamBatchBytes && !flush()) {
      return absl::CancelledError("the client has left the stream");
    }
  }
  if (bytes > 0 && !flush()) {
    return absl::CancelledError("the client has left the stream");
  }
  return absl::OkStatus();
}

}  // namespace quoll::cri
