// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "os/process.h"
#include "runtime/monitor/monitors.h"

// One run of an OCI runtime's command line. Thread-safe; blocking until the
// deadline at most.
namespace quoll::runtime {

// The environment of everything that runs an OCI runtime.
std::vector<std::string> OciEnvironment();

// PROGRAM --log-format json --root ROOT GLOBAL_ARGS... ARGS...; `fd` becomes 3
// in it unless negative. FailedPrecondition with the runtime's own message when
// it fails, Unavailable when it cannot run.
absl::StatusOr<std::string> RunOci(const OciProgram& program,
                                   const std::vector<std::string>& args, int fd,
                                   absl::Time deadline);

// False when the runtime surely knows nothing of the container: nothing in its
// --root is named after it. (runc and crun keep ROOT/ID/, others files with the
// id in their name.) Much cheaper than asking the runtime.
bool MayHaveOciState(const OciProgram& program,
                     const std::string& container_id);

// `delete`, then `delete --force` when that is refused and `force` is set: for
// a container whose init is dead the first is ten times faster with runc. OK
// when there is nothing.
absl::Status DeleteOciState(const OciProgram& program,
                            const std::string& container_id, bool force,
                            absl::Time deadline);

}  // namespace quoll::runtime
