// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status ExecSync(const Backends& backends, const os::Call& call,
                      const criv1::ExecSyncRequest& request,
                      criv1::ExecSyncResponse* response) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.container_id(), "container_id",
                                     "name the container to run it in"));
  if (request.cmd_size() == 0 || request.cmd(0).empty()) {
    return absl::InvalidArgumentError("cmd is empty: name a program to run");
  }
  for (const std::string& word : request.cmd()) {
    QUOLL_RETURN_IF_ERROR(RefuseNul(word, "cmd"));
  }
  if (request.timeout() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "timeout is ", request.timeout(), ": give seconds, or 0 for none"));
  }
  const absl::Duration timeout = request.timeout() == 0
                                     ? absl::InfiniteDuration()
                                     : absl::Seconds(request.timeout());
  const std::vector<std::string> argv(request.cmd().begin(),
                                      request.cmd().end());
  QUOLL_ASSIGN_OR_RETURN(runtime::ContainerService::ExecOutput output,
                         backends.containers.ExecSync(request.container_id(),
                                                      argv, timeout, call));
  response->set_exit_code(output.exit_code);
  response->set_stdout(std::move(output.out));
  response->set_stderr(std::move(output.err));
  return absl::OkStatus();
}

}  // namespace quoll::cri
