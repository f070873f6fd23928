// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace quoll::helper {

// Which namespaces are new and may be changed.
struct NewNamespaces {
  bool net = false;
  bool ipc = false;
  bool uts = false;
};

struct Sysctl {
  const char* name;  // as the user wrote it
  const char* file;  // below /proc/sys
  const char* value;
};

// "name=value". Ends the program with InvalidArgument, which names the sysctl,
// when it is malformed or belongs to a namespace that is not new: it would
// change the host.
Sysctl ParseSysctl(const char* assignment, const NewNamespaces& namespaces);

// Writes it through /proc/sys, as the namespaces of this process see it. Ends
// the program when the kernel refuses.
void WriteSysctl(const Sysctl& sysctl);

}  // namespace quoll::helper
