// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace quoll::runtime::monitor {

// Reads /proc/self/mountinfo (proc_pid_mountinfo(5)) mount by mount. The kernel
// produces the file as it is read, and cgroups are mounted early: whoever stops
// at the mount it wanted never pays for the thousands of a busy node. Lines
// that do not fit (overlays with many layers) are skipped.
class Mountinfo {
 public:
  Mountinfo();
  ~Mountinfo();
  Mountinfo(const Mountinfo&) = delete;
  Mountinfo& operator=(const Mountinfo&) = delete;

  // False at the end. The strings are valid until the next call.
  bool Next();

  const char* root() const { return root_; }
  const char* mount_point() const { return mount_point_; }
  const char* fstype() const { return fstype_; }
  const char* super_options() const { return super_options_; }

 private:
  // The next line without its newline; nullptr at the end.
  char* NextLine();
  bool ParseLine(char* line);

  static constexpr size_t kBufferSize = 8192;

  int fd_;
  size_t begin_ = 0;  // of what is not consumed
  size_t end_ = 0;
  bool skipping_ = false;  // inside a line that is too long
  const char* root_ = "";
  const char* mount_point_ = "";
  const char* fstype_ = "";
  const char* super_options_ = "";
  char buffer_[kBufferSize];
};

}  // namespace quoll::runtime::monitor
