// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "CLI/CLI.hpp"

namespace quoll::ctl {

// Takes a container's command off a command line: of the sub-commands that are
// marked with prefix_command(), everything behind the first operand, options
// and all, without one "--" that may introduce it:
//   exec -o json CONTAINER ls -la     exec CONTAINER -- ls -la
// `args` is left with the rest, for CLI11, which would read "-la" itself and
// split a word like "[a,b]" in two.
std::vector<std::string> TakeCommandWords(const CLI::App& app,
                                          std::vector<std::string>& args);

}  // namespace quoll::ctl
