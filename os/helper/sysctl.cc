// SPDX-License-Identifier: Apache-2.0
#include "os/helper/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os/helper/commands.h"
#include "os/helper/report.h"

namespace quoll::helper {
namespace {

bool StartsWith(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

// Both of sysctl(8)'s spellings: with the separator '/' it is the path, with
// '.' each of the two stands for the other ("net.ipv4.conf.eth0/1.forwarding"
// is the interface eth0.1).
char* FileOf(const char* name) {
  char* const file = Format("%s", name);
  const char* const first = strpbrk(file, "./");
  if (first != nullptr && *first == '.') {
    for (char* c = file; *c != '\0'; ++c) {
      if (*c == '.') {
        *c = '/';
      } else if (*c == '/') {
        *c = '.';
      }
    }
  }
  return file;
}

// Ordinary characters only, no empty component, no "." or "..".
bool IsCleanPath(const char* path) {
  while (true) {
    const size_t length = strcspn(path, "/");
    const size_t plain =
        strspn(path,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
               "0123456789_-.:@");
    const bool dots = strspn(path, ".") == length;
    if (length == 0 || plain != length || dots) {
      return false;
    }
    if (path[length] == '\0') {
      return true;
    }
    path += length + 1;
  }
}

bool IsOwned(const char* file, const NewNamespaces& namespaces) {
  if (StartsWith(file, "net/")) {
    return namespaces.net;
  }
  if (StartsWith(file, "fs/mqueue/") || StartsWith(file, "kernel/shm") ||
      StartsWith(file, "kernel/msg") || strcmp(file, "kernel/sem") == 0) {
    return namespaces.ipc;
  }
  if (strcmp(file, "kernel/domainname") == 0 ||
      strcmp(file, "kernel/hostname") == 0) {
    return namespaces.uts;
  }
  return false;
}

}  // namespace

Sysctl ParseSysctl(const char* assignment, const NewNamespaces& namespaces) {
  const char* const equals = strchr(assignment, '=');
  if (equals == nullptr) {
    Fail(kInvalidArgument, "sysctl \"%s\" has no value", assignment);
  }
  Sysctl sysctl;
  sysctl.name =
      Format("%.*s", static_cast<int>(equals - assignment), assignment);
  sysctl.file = FileOf(sysctl.name);
  sysctl.value = equals + 1;
  if (!IsCleanPath(sysctl.file)) {
    Fail(kInvalidArgument, "sysctl \"%s\" is not the name of one", sysctl.name);
  }
  if (!IsOwned(sysctl.file, namespaces)) {
    Fail(kInvalidArgument,
         "sysctl %s does not belong to the pod's own namespaces; setting it "
         "would change the whole node",
         sysctl.name);
  }
  return sysctl;
}

void WriteSysctl(const Sysctl& sysctl) {
  const char* const path = Format("/proc/sys/%s", sysctl.file);
  const int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    if (error == ENOENT || error == EISDIR || error == EACCES) {
      // The kernel hides or write-protects what a namespace does not have.
      Fail(kInvalidArgument,
           "sysctl %s: the pod's namespaces have none to set: %s", sysctl.name,
           strerror(error));
    }
    FailErrno(error, "sysctl %s: open %s", sysctl.name, path);
  }
  const size_t length = strlen(sysctl.value);
  if (write(fd, sysctl.value, length) != static_cast<ssize_t>(length)) {
    FailErrno(errno, "sysctl %s: write \"%s\"", sysctl.name, sysctl.value);
  }
  close(fd);
}

}  // namespace quoll::helper
