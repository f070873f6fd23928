// SPDX-License-Identifier: Apache-2.0
#include "cri/to_grpc_status.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace quoll::cri {
namespace {

// pkg/kubelet/images and k8s.io/cri-api/pkg/errors match these.
constexpr std::array<absl::string_view, 4> kMarkers = {
    "RegistryUnavailable", "SignatureValidationFailed", "RROUnsupported",
    "ImageVolumeMountFailed"};

// grpc-message is percent-encoded: a byte outside printable ASCII takes three.
constexpr size_t kMaxEncodedBytes = 6000;

size_t EncodedSize(char c) {
  return c >= 0x20 && c <= 0x7e && c != '%' ? 1 : 3;
}

// How many bytes from the beginning (or the end) fit into `budget`.
template <typename Iterator>
size_t Fitting(Iterator begin, Iterator end, size_t budget) {
  size_t count = 0;
  for (; begin != end; ++begin, ++count) {
    const size_t cost = EncodedSize(*begin);
    if (cost > budget) {
      break;
    }
    budget -= cost;
  }
  return count;
}

std::string Shorten(absl::string_view message) {
  if (Fitting(message.begin(), message.end(), kMaxEncodedBytes) ==
      message.size()) {
    return std::string(message);
  }
  // The beginning names the object, the end the cause.
  constexpr size_t kHalf = kMaxEncodedBytes / 2 - 8;
  const size_t head = Fitting(message.begin(), message.end(), kHalf);
  const size_t tail = Fitting(message.rbegin(), message.rend(), kHalf);
  return absl::StrCat(message.substr(0, head), " [...] ",
                      message.substr(message.size() - tail));
}

std::string MarkerFirst(absl::string_view message) {
  for (const absl::string_view marker : kMarkers) {
    const size_t at = message.find(absl::StrCat(": ", marker));
    if (at == absl::string_view::npos) {
      continue;
    }
    // "create: RROUnsupported: no rro" -> "RROUnsupported: create: no rro"
    const absl::string_view context = message.substr(0, at);
    const absl::string_view rest = message.substr(at + 2 + marker.size());
    return absl::StrCat(marker, ": ", context, rest);
  }
  return std::string(message);
}

bool StartsWithMarker(absl::string_view message) {
  return std::any_of(kMarkers.begin(), kMarkers.end(),
                     [message](absl::string_view marker) {
                       return message.substr(0, marker.size()) == marker;
                     });
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  std::string message(status.message());
  if (status.code() == absl::StatusCode::kUnknown &&
      !StartsWithMarker(message)) {
    message = MarkerFirst(message);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      Shorten(message));
}

}  // namespace quoll::cri
