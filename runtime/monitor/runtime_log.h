// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace quoll::runtime {

// The last error in what an OCI runtime logged with --log-format json: lines
// {"level":"error","msg":"...","time":"..."}, of which a container's command
// may have influenced the words. Without such a line the last line that is not
// empty; "" when there is none. One line of at most 2 KiB, control characters
// replaced. Pure.
std::string LastRuntimeError(absl::string_view log);

}  // namespace quoll::runtime
