// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "os/annotate.h"
#include "os/status_macros.h"
#include "runtime/launch/oci_parts.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;

// More than any node has; a loop of bind mounts below /dev ends here.
constexpr size_t kMaxDirectories = 4096;
constexpr int64_t kDefaultMode = 0660;

// Mounts of their own in a container, or another program's.
constexpr absl::string_view kSkippedDirectories[] = {
    "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"};

struct Node {
  std::string path;
  bool block = false;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  int64_t mode = kDefaultMode;
  int64_t uid = 0;
  int64_t gid = 0;
};

json NodeJson(const Node& node) {
  return {{"path", node.path},
          {"type", node.block ? "b" : "c"},
          {"major", node.device_major},
          {"minor", node.device_minor},
          {"fileMode", node.mode},
          {"uid", node.uid},
          {"gid", node.gid}};
}

// Who may open it is the host's decision, kept in the container. Only for
// nodes in /dev, which is in memory: elsewhere a stat could hang.
void CopyOwner(const std::string& host_path, Node& node) {
  struct stat info;
  if (absl::StartsWith(host_path, "/dev/") &&
      lstat(host_path.c_str(), &info) == 0) {
    node.mode = info.st_mode & 07777;
    node.uid = info.st_uid;
    node.gid = info.st_gid;
  }
}

absl::StatusOr<std::string> Permissions(const std::string& asked) {
  if (asked.empty()) {
    return std::string("rwm");
  }
  if (asked.find_first_not_of("rwm") != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("permissions \"", asked, "\" are not made of r, w and m"));
  }
  return asked;
}

absl::Status AddRequested(const SpecInput::Device& device, bool privileged,
                          DevicesPart& part) {
  QUOLL_RETURN_IF_ERROR(CheckText("container_path", device.container_path));
  Node node;
  QUOLL_ASSIGN_OR_RETURN(node.path, NormalizePath(device.container_path));
  if (!device.host.is_block_device && !device.host.is_char_device) {
    return absl::InvalidArgumentError(
        absl::StrCat(device.host.resolved, " is not a device"));
  }
  QUOLL_ASSIGN_OR_RETURN(std::string access, Permissions(device.permissions));
  node.block = device.host.is_block_device;
  node.device_major = device.host.device_major;
  node.device_minor = device.host.device_minor;
  CopyOwner(device.host.resolved, node);
  // The same place again: a privileged container has all of /dev already.
  json entry = NodeJson(node);
  const auto same = absl::c_find_if(part.nodes, [&](const json& known) {
    return known["path"] == entry["path"];
  });
  if (same != part.nodes.end()) {
    *same = std::move(entry);
  } else {
    part.nodes.push_back(std::move(entry));
  }
  if (!privileged) {
    part.rules.push_back({{"allow", true},
                          {"type", node.block ? "b" : "c"},
                          {"major", node.device_major},
                          {"minor", node.device_minor},
                          {"access", access}});
  }
  return absl::OkStatus();
}

// One directory of the host's /dev; those in it are appended to `pending`.
absl::Status AddDirectory(const std::string& dev_root,
                          const std::string& relative,
                          std::vector<std::string>& pending,
                          DevicesPart& part) {
  const std::string dir = dev_root + relative;
  DIR* stream = opendir(dir.c_str());
  if (stream == nullptr) {
    // A directory may go at any time (an unplugged device).
    return errno == ENOENT && !relative.empty()
               ? absl::OkStatus()
               : absl::ErrnoToStatus(errno, absl::StrCat("open ", dir));
  }
  absl::Cleanup close = [stream] { closedir(stream); };
  errno = 0;
  while (const dirent* entry = readdir(stream)) {
    const absl::string_view name = entry->d_name;
    struct stat info;
    if (name == "." || name == ".." ||
        fstatat(dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) !=
            0) {
      errno = 0;
      continue;
    }
    const std::string path = absl::StrCat(relative, "/", name);
    if (S_ISDIR(info.st_mode)) {
      if (!absl::c_linear_search(kSkippedDirectories, name)) {
        pending.push_back(path);
      }
    } else if ((S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) &&
               // The container's own: a terminal, and its devpts's.
               path != "/console" && path != "/ptmx") {
      Node node{"/dev" + path,       S_ISBLK(info.st_mode), major(info.st_rdev),
                minor(info.st_rdev), info.st_mode & 07777,  info.st_uid,
                info.st_gid};
      // JSON cannot carry every name that a file system can.
      if (CheckText("device", node.path).ok()) {
        part.nodes.push_back(NodeJson(node));
      }
    }
    errno = 0;
  }
  const int error = errno;
  return error == 0 ? absl::OkStatus()
                    : absl::ErrnoToStatus(error, absl::StrCat("read ", dir));
}

absl::Status AddHostDevices(const std::string& dev_root, DevicesPart& part) {
  std::vector<std::string> pending{""};
  for (size_t i = 0; i < pending.size() && i < kMaxDirectories; ++i) {
    const std::string relative = pending[i];
    QUOLL_RETURN_IF_ERROR(AddDirectory(dev_root, relative, pending, part));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DevicesPart> DevicesJson(const SpecInput& input,
                                        const std::string& dev_root) {
  const bool privileged = input.container.spec().security().privileged();
  // The standard ones (/dev/null and so on) are the OCI runtime's to add.
  DevicesPart part{json::array(), json::array()};
  part.rules.push_back({{"allow", privileged}, {"access", "rwm"}});
  if (privileged) {
    QUOLL_RETURN_IF_ERROR(AddHostDevices(dev_root, part));
  }
  for (const SpecInput::Device& device : input.devices) {
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(AddRequested(device, privileged, part),
                     absl::StrCat("device ", device.container_path)));
  }
  return part;
}

}  // namespace quoll::runtime
