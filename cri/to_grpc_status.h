// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include <grpcpp/support/status.h>

namespace quoll::cri {

// The one place where a status leaves for a client. Codes keep their numbers
// (absl took them from gRPC). Two things are changed on the way:
//  - The kubelet recognises four errors by code UNKNOWN and the *beginning* of
//    the message ("RegistryUnavailable", ...). Where a kUnknown status has
//    collected context in front of such a word, the word is moved back to the
//    beginning.
//  - gRPC carries the message in a header, and clients drop a whole response
//    whose headers pass 8 KiB. A longer message keeps its two ends.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace quoll::cri
