// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace quoll::ctl {

// All of quollctl: reads the command line, does the work, prints to standard
// output and error, and returns the exit code.
int Quollctl(int argc, const char* const* argv);

}  // namespace quoll::ctl
