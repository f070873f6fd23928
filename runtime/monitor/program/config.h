// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "runtime/monitor/program/text.h"

namespace quoll::runtime::monitor {

// How the OCI runtime's exec puts a process into a sub-cgroup of the container
// (exec_tracker.h).
enum class SubCgroup {
  kNone,        // it cannot
  kController,  // --cgroup freezer:NAME on v1, --cgroup NAME on v2 (runc)
  kPlain,       // --cgroup NAME, every hierarchy that has it (crun)
};

// What quolld asks of this process: see protocol.h for the text form. Strings
// point into the text, which stays.
struct Config {
  static constexpr int kMaxArgs = 32;

  const char* container_id = "";
  const char* bundle = "";          // absolute; also the working directory
  const char* program = "";         // the OCI runtime, absolute
  const char* root = "";            // its --root
  const char* args[kMaxArgs] = {};  // its other global arguments
  int arg_count = 0;

  // Container mode.
  const char* log_path = "";
  bool tty = false;
  bool stdin = false;
  bool stdin_once = false;

  // Exec mode.
  const char* exec_id = "";  // names the scratch files and the sub-cgroup
  uint64_t init_pid = 0;
  uint64_t init_start_time = 0;
  SubCgroup sub_cgroup = SubCgroup::kNone;
};

// Parses `text` in place. Returns nullptr, or what is wrong with it.
const char* ParseConfig(char* text, size_t size, Config* config);

}  // namespace quoll::runtime::monitor
