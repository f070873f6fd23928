// SPDX-License-Identifier: Apache-2.0
#include "cri/dispatch.h"

#include <exception>

#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "cri/to_grpc_status.h"
#include "os/log.h"
#include "os/random_id.h"
#include "spdlog/spdlog.h"

#include <grpc/support/time.h>

namespace quoll::cri {
namespace {

absl::Time ToTime(gpr_timespec when) {
  if (gpr_time_cmp(when, gpr_inf_future(when.clock_type)) == 0) {
    return absl::InfiniteFuture();
  }
  // Deadlines are kept on the monotonic clock.
  const gpr_timespec wall = gpr_convert_clock_type(when, GPR_CLOCK_REALTIME);
  return absl::FromUnixSeconds(wall.tv_sec) + absl::Nanoseconds(wall.tv_nsec);
}

// Nothing of ours throws, but a library that a handler calls may (out of
// memory, above all); without this gRPC would answer UNKNOWN with no words.
absl::Status Guarded(absl::FunctionRef<absl::Status()> work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return absl::InternalError(
        absl::StrCat("quolld failed in this call: ", error.what()));
  }
}

}  // namespace

os::Call ToCall(const grpc::ServerContext& context) {
  os::Call call;
  call.deadline = ToTime(context.raw_deadline());
  call.cancelled = [&context] { return context.IsCancelled(); };
  return call;
}

grpc::Status RunLogged(absl::string_view method, CallKind kind,
                       const std::string& object,
                       absl::FunctionRef<absl::Status()> work) {
  const os::LogRequestScope scope(os::RandomHexId(4));
  const absl::Time begin = absl::Now();
  const absl::Status status = Guarded(work);
  const double ms = absl::ToDoubleMilliseconds(absl::Now() - begin);
  const absl::string_view gap = object.empty() ? "" : " ";
  if (!status.ok()) {
    // A client that asks for what is gone is everyday life for a kubelet.
    const auto level = kind == CallKind::kRead && absl::IsNotFound(status)
                           ? spdlog::level::debug
                           : spdlog::level::warn;
    spdlog::log(level, "{}{}{}: {:.1f} ms: {}", std::string(method),
                std::string(gap), object, ms, status.ToString());
  } else {
    spdlog::log(
        kind == CallKind::kRead ? spdlog::level::debug : spdlog::level::info,
        "{}{}{}: {:.1f} ms: OK", std::string(method), std::string(gap), object,
        ms);
  }
  return ToGrpcStatus(status);
}

grpc::Status NotBuiltYet(absl::string_view method, absl::string_view what) {
  return ToGrpcStatus(absl::UnimplementedError(absl::StrCat(
      method, ": not built yet: this version of quolld has no ", what)));
}

}  // namespace quoll::cri
