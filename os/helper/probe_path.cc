// SPDX-License-Identifier: Apache-2.0
// quoll-helper probe-path path=P [create]
// Prints RESOLVED TYPE MAJOR MINOR (created|found), a NUL after each.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "os/helper/commands.h"
#include "os/helper/report.h"

namespace quoll::helper {
namespace {

// mkdir -p. True when the last component is new. Whoever makes the same
// directories at the same time does not disturb.
bool MakeDirectories(const char* path) {
  char* const prefix = Format("%s", path);
  bool made = false;
  for (char* end = prefix + 1; end != nullptr;) {
    end = strchr(end, '/');
    if (end != nullptr) {
      *end = '\0';
    }
    made = mkdir(prefix, 0755) == 0;
    const int error = errno;
    struct stat info;
    if (!made && stat(prefix, &info) != 0) {
      if (error == EEXIST) {  // a symlink to nothing
        FailErrno(ENOENT, "create directory %s: follow the symlink %s", path,
                  prefix);
      }
      FailErrno(error, "create directory %s", prefix);
    }
    if (end != nullptr) {
      *end++ = '/';
    }
  }
  return made;
}

const char* TypeOf(const struct stat& info) {
  switch (info.st_mode & S_IFMT) {
    case S_IFDIR:
      return "directory";
    case S_IFBLK:
      return "block";
    case S_IFCHR:
      return "char";
    default:
      return "other";
  }
}

}  // namespace

void ProbePathCommand(int count, char** arguments) {
  const char* path = "";
  bool create = false;
  for (int i = 0; i < count; ++i) {
    if (const char* value = ValueOf(arguments[i], "path")) {
      path = value;
    } else if (IsKey(arguments[i], "create")) {
      create = true;
    } else {
      UnknownArgument("probe-path", arguments[i]);
    }
  }
  if (*path != '/') {
    Fail(kInvalidArgument, "path \"%s\" is not absolute", path);
  }
  bool created = false;
  char* resolved = realpath(path, nullptr);
  if (resolved == nullptr && errno == ENOENT && create) {
    created = MakeDirectories(path);
    resolved = realpath(path, nullptr);
  }
  if (resolved == nullptr) {
    FailErrno(errno, "look at %s", path);
  }
  struct stat info;
  if (stat(resolved, &info) != 0) {
    FailErrno(errno, "look at %s", resolved);
  }
  const bool device = S_ISBLK(info.st_mode) || S_ISCHR(info.st_mode);
  printf("%s%c%s%c%u%c%u%c%s%c", resolved, 0, TypeOf(info), 0,
         device ? major(info.st_rdev) : 0, 0, device ? minor(info.st_rdev) : 0,
         0, created ? "created" : "found", 0);
  if (fflush(stdout) != 0) {
    FailErrno(errno, "look at %s: write the answer", path);
  }
}

}  // namespace quoll::helper
