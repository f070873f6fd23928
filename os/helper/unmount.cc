// SPDX-License-Identifier: Apache-2.0
// quoll-helper unmount target=T [lazy]
#include "os/helper/unmount.h"

#include <errno.h>
#include <sys/mount.h>

#include "os/helper/commands.h"
#include "os/helper/report.h"

namespace quoll::helper {

int UnmountAll(const char* target, bool lazy) {
  const int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
  while (umount2(target, flags) == 0) {
  }
  switch (errno) {
    case EINVAL:  // not a mount point
    case ENOENT:
    case ENOTDIR:  // nor can it be one: a parent is no directory
      return 0;
    default:
      return errno;
  }
}

void UnmountCommand(int count, char** arguments) {
  const char* target = "";
  bool lazy = false;
  for (int i = 0; i < count; ++i) {
    if (const char* value = ValueOf(arguments[i], "target")) {
      target = value;
    } else if (IsKey(arguments[i], "lazy")) {
      lazy = true;
    } else {
      UnknownArgument("unmount", arguments[i]);
    }
  }
  if (*target == '\0') {
    Fail(kInvalidArgument, "unmount: no target is given");
  }
  if (const int error = UnmountAll(target, lazy); error != 0) {
    FailErrno(error, "unmount %s", target);
  }
}

}  // namespace quoll::helper
