// SPDX-License-Identifier: Apache-2.0
// quoll-helper mount source=S target=T type=TYPE flags=N data=D
#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "os/helper/commands.h"
#include "os/helper/report.h"

namespace quoll::helper {
namespace {

constexpr unsigned long kPropagation =
    MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;

struct Request {
  const char* source = "";
  const char* target = "";
  const char* type = "";
  const char* data = "";
  unsigned long flags = 0;
};

Request Parse(int count, char** arguments) {
  Request request;
  for (int i = 0; i < count; ++i) {
    if (const char* value = ValueOf(arguments[i], "source")) {
      request.source = value;
    } else if (const char* value = ValueOf(arguments[i], "target")) {
      request.target = value;
    } else if (const char* value = ValueOf(arguments[i], "type")) {
      request.type = value;
    } else if (const char* value = ValueOf(arguments[i], "data")) {
      request.data = value;
    } else if (const char* value = ValueOf(arguments[i], "flags")) {
      char* end = nullptr;
      request.flags = strtoul(value, &end, 10);
      if (end == value || *end != '\0') {
        Fail(kInvalidArgument, "mount: flags \"%s\" are no number", value);
      }
    } else {
      UnknownArgument("mount", arguments[i]);
    }
  }
  if (*request.target == '\0') {
    Fail(kInvalidArgument, "mount: no target is given");
  }
  return request;
}

const char* OrNull(const char* text) {
  return *text == '\0' ? nullptr : text;
}

// What a bind inherited from the mount of its source: a remount that does not
// repeat it takes it away (mount(2), "Remounting an existing mount").
unsigned long InheritedFlags(const char* target) {
  struct statvfs info;
  if (statvfs(target, &info) != 0) {
    return 0;
  }
  constexpr struct {
    unsigned long seen;
    unsigned long flag;
  } kFlags[] = {{ST_RDONLY, MS_RDONLY},    {ST_NOSUID, MS_NOSUID},
                {ST_NODEV, MS_NODEV},      {ST_NOEXEC, MS_NOEXEC},
                {ST_NOATIME, MS_NOATIME},  {ST_NODIRATIME, MS_NODIRATIME},
                {ST_RELATIME, MS_RELATIME}};
  unsigned long flags = 0;
  for (const auto& known : kFlags) {
    if ((info.f_flag & known.seen) != 0) {
      flags |= known.flag;
    }
  }
  return flags;
}

[[noreturn]] void FailMounted(const Request& request, const char* step,
                              bool undo) {
  const int error = errno;
  if (undo) {
    umount2(request.target, MNT_DETACH | UMOUNT_NOFOLLOW);
  }
  FailErrno(error, "mount %s on %s%s", request.source, request.target, step);
}

}  // namespace

void MountCommand(int count, char** arguments) {
  const Request request = Parse(count, arguments);
  const unsigned long propagation = request.flags & (kPropagation);
  unsigned long flags = request.flags & ~kPropagation;
  const bool remount = (flags & MS_REMOUNT) != 0;
  const bool bind = (flags & MS_BIND) != 0 && !remount;
  // MS_REC alone belongs to the propagation.
  const bool only_propagation =
      propagation != 0 &&
      (flags & ~static_cast<unsigned long>(MS_REC | MS_SILENT)) == 0 &&
      *request.type == '\0';
  if (!only_propagation &&
      mount(OrNull(request.source), request.target, OrNull(request.type), flags,
            OrNull(request.data)) != 0) {
    FailMounted(request, "", false);
  }
  const bool undo = !only_propagation && !remount;
  // The kernel ignores further flags of a bind until it is remounted.
  flags &= ~static_cast<unsigned long>(MS_BIND | MS_REC | MS_SILENT);
  if (bind && flags != 0 &&
      mount(nullptr, request.target, nullptr,
            flags | InheritedFlags(request.target) | MS_REMOUNT | MS_BIND,
            nullptr) != 0) {
    FailMounted(request, ": set the flags of the bind", undo);
  }
  if (propagation != 0 &&
      mount(nullptr, request.target, nullptr,
            propagation | (request.flags & MS_REC), nullptr) != 0) {
    FailMounted(request, ": set the propagation", undo);
  }
}

}  // namespace quoll::helper
