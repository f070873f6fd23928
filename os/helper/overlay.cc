// SPDX-License-Identifier: Apache-2.0
// quoll-helper overlay target=T lower=TOPMOST [lower=NEXT]...
//     [upper=U work=W] [option=O]... [mount2]
// mount2: by mount(2), as on a kernel without the newer calls.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "os/helper/commands.h"
#include "os/helper/report.h"

namespace quoll::helper {
namespace {

// fsconfig(2) takes strings of up to 255 bytes, mount(2) a page of options.
constexpr size_t kMaxConfigString = 255;
constexpr size_t kMaxMountData = 4095;

struct Request {
  const char* target = "";
  const char* upper = "";
  const char* work = "";
  const char** lower = nullptr;  // topmost first
  int lower_count = 0;
  const char** options = nullptr;
  int option_count = 0;
  bool only_mount2 = false;
};

Request Parse(int count, char** arguments) {
  Request request;
  const size_t bytes = static_cast<size_t>(count + 1) * sizeof(char*);
  request.lower = static_cast<const char**>(Allocate(bytes));
  request.options = static_cast<const char**>(Allocate(bytes));
  for (int i = 0; i < count; ++i) {
    if (const char* value = ValueOf(arguments[i], "target")) {
      request.target = value;
    } else if (const char* value = ValueOf(arguments[i], "upper")) {
      request.upper = value;
    } else if (const char* value = ValueOf(arguments[i], "work")) {
      request.work = value;
    } else if (const char* value = ValueOf(arguments[i], "lower")) {
      request.lower[request.lower_count++] = value;
    } else if (const char* value = ValueOf(arguments[i], "option")) {
      request.options[request.option_count++] = value;
    } else if (IsKey(arguments[i], "mount2")) {
      request.only_mount2 = true;
    } else {
      UnknownArgument("overlay", arguments[i]);
    }
  }
  if (*request.target == '\0' || request.lower_count == 0) {
    Fail(kInvalidArgument, "mount overlay on %s: no %s is given",
         request.target, *request.target == '\0' ? "target" : "layer");
  }
  if ((*request.upper == '\0') != (*request.work == '\0')) {
    Fail(kInvalidArgument,
         "mount overlay on %s: upper and work directory go together",
         request.target);
  }
  for (int i = 0; i < request.option_count; ++i) {
    if (strpbrk(request.options[i], ",\\") != nullptr ||
        *request.options[i] == '\0') {
      Fail(kInvalidArgument, "mount overlay on %s: option \"%s\" is malformed",
           request.target, request.options[i]);
    }
  }
  return request;
}

// overlayfs splits at ':' and ',' and unescapes '\', each kernel a little
// differently. A descriptor's name has none of them and is always short; the
// plain name is preferred where it is safe, for people who read mountinfo.
const char* LayerName(const Request& request, const char* path,
                      bool always_by_fd) {
  if (!always_by_fd && strpbrk(path, ":,\\\"") == nullptr &&
      strlen(path) <= kMaxConfigString) {
    return path;
  }
  const int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    FailErrno(errno, "mount overlay on %s: open layer %s", request.target,
              path);
  }
  return Format("/proc/self/fd/%d", fd);
}

// lowerdir+ came after 6.5; older kernels take any string here and refuse only
// at the end, with the same EINVAL as for everything else.
bool KernelMayKnowLowerdirPlus() {
  struct utsname name;
  int version = 0;
  int level = 0;
  return uname(&name) == 0 &&
         sscanf(name.release, "%d.%d", &version, &level) == 2 &&
         (version > 6 || (version == 6 && level >= 5));
}

// The kernel's own words about a configuration: one message for each read(2),
// "e text" for errors, "w text" for warnings.
const char* KernelWords(int context) {
  const char* words = "";
  char message[512];
  ssize_t length = 0;
  while ((length = read(context, message, sizeof(message) - 1)) > 0) {
    message[length] = '\0';
    if (length > 2 && (message[0] == 'e' || message[0] == 'w')) {
      words = Format("%s (%s)", words, message + 2);
    }
  }
  return words;
}

[[noreturn]] void FailContext(const Request& request, int context,
                              const char* step, const char* value) {
  const int error = errno;
  FailErrno(error, "mount overlay on %s: %s %s%s", request.target, step, value,
            KernelWords(context));
}

void SetString(const Request& request, int context, const char* key,
               const char* value) {
  if (fsconfig(context, FSCONFIG_SET_STRING, key, value, 0) != 0) {
    FailContext(request, context, key, value);
  }
}

void SetOption(const Request& request, int context, const char* option) {
  const char* const equals = strchr(option, '=');
  if (equals != nullptr) {
    const int length = static_cast<int>(equals - option);
    SetString(request, context, Format("%.*s", length, option), equals + 1);
  } else if (fsconfig(context, FSCONFIG_SET_FLAG, option, nullptr, 0) != 0) {
    FailContext(request, context, "option", option);
  }
}

// False when this kernel needs mount(2).
bool MountByContext(const Request& request) {
  if (request.only_mount2 || !KernelMayKnowLowerdirPlus()) {
    return false;
  }
  const int context = fsopen("overlay", FSOPEN_CLOEXEC);
  if (context < 0) {
    if (errno == ENODEV) {
      Fail(kUnimplemented,
           "mount overlay on %s: this kernel has no overlayfs; load it with "
           "\"modprobe overlay\"",
           request.target);
    }
    return false;  // ENOSYS, or forbidden by a seccomp filter
  }
  for (int i = 0; i < request.lower_count; ++i) {
    const char* const layer = LayerName(request, request.lower[i], false);
    if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", layer, 0) != 0) {
      if (i == 0 && errno == EINVAL) {
        close(context);
        return false;
      }
      FailContext(request, context, "layer", request.lower[i]);
    }
  }
  if (*request.upper != '\0') {
    SetString(request, context, "upperdir",
              LayerName(request, request.upper, false));
    SetString(request, context, "workdir",
              LayerName(request, request.work, false));
  }
  for (int i = 0; i < request.option_count; ++i) {
    SetOption(request, context, request.options[i]);
  }
  if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    FailContext(request, context, "create", "");
  }
  const int mounted = fsmount(context, FSMOUNT_CLOEXEC, 0);
  if (mounted < 0) {
    FailContext(request, context, "fsmount", "");
  }
  if (move_mount(mounted, "", AT_FDCWD, request.target,
                 MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    FailErrno(errno, "mount overlay on %s", request.target);
  }
  return true;
}

// "lowerdir=A:B,upperdir=U,workdir=W,option".
const char* MountData(const Request& request, bool layers_by_fd) {
  size_t bytes = sizeof("lowerdir=");
  for (int i = 0; i < request.lower_count; ++i) {
    bytes += strlen(request.lower[i]) + sizeof(":/proc/self/fd/2147483647");
  }
  char* const layers = static_cast<char*>(Allocate(bytes));
  char* end = stpcpy(layers, "lowerdir=");
  for (int i = 0; i < request.lower_count; ++i) {
    if (i > 0) {
      *end++ = ':';
    }
    end = stpcpy(end, LayerName(request, request.lower[i], layers_by_fd));
  }
  const char* data = layers;
  if (*request.upper != '\0') {
    data = Format("%s,upperdir=%s,workdir=%s", data,
                  LayerName(request, request.upper, layers_by_fd),
                  LayerName(request, request.work, layers_by_fd));
  }
  for (int i = 0; i < request.option_count; ++i) {
    data = Format("%s,%s", data, request.options[i]);
  }
  return data;
}

void MountByString(const Request& request) {
  const char* data = MountData(request, false);
  if (strlen(data) > kMaxMountData) {
    data = MountData(request, true);
  }
  if (strlen(data) > kMaxMountData) {
    Fail(kInvalidArgument,
         "mount overlay on %s: %d layers are more than this kernel takes at "
         "once; Linux 6.8 and later take 500",
         request.target, request.lower_count);
  }
  if (mount("overlay", request.target, "overlay", 0, data) != 0) {
    FailErrno(errno, "mount overlay on %s with %s", request.target, data);
  }
}

// The bind is read-only and private before anybody can see it (Linux 5.12).
// False when this kernel cannot do it so.
bool BindByTree(const Request& request, const char* layer) {
  if (request.only_mount2) {
    return false;
  }
  const int tree =
      open_tree(AT_FDCWD, layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  attributes.propagation = MS_PRIVATE;
  if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attributes,
                                sizeof(attributes)) != 0) {
    if (errno == ENOSYS || errno == EPERM) {  // EPERM: a seccomp filter
      return false;
    }
    FailErrno(errno, "mount layer %s on %s", layer, request.target);
  }
  if (move_mount(tree, "", AT_FDCWD, request.target, MOVE_MOUNT_F_EMPTY_PATH) !=
      0) {
    FailErrno(errno, "mount layer %s on %s", layer, request.target);
  }
  return true;
}

// One read-only layer is no overlay: overlayfs wants two.
void BindReadOnly(const Request& request) {
  const char* const layer = request.lower[0];
  if (BindByTree(request, layer)) {
    return;
  }
  if (mount(layer, request.target, nullptr, MS_BIND, nullptr) != 0) {
    FailErrno(errno, "mount layer %s on %s", layer, request.target);
  }
  if (mount(nullptr, request.target, nullptr, MS_PRIVATE, nullptr) != 0 ||
      mount(nullptr, request.target, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY,
            nullptr) != 0) {
    const int error = errno;
    umount2(request.target, MNT_DETACH | UMOUNT_NOFOLLOW);
    FailErrno(error, "mount layer %s on %s: make it read-only", layer,
              request.target);
  }
}

}  // namespace

void OverlayCommand(int count, char** arguments) {
  const Request request = Parse(count, arguments);
  if (request.lower_count == 1 && *request.upper == '\0') {
    BindReadOnly(request);
  } else if (!MountByContext(request)) {
    MountByString(request);
  }
}

}  // namespace quoll::helper
