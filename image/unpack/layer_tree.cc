// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/layer_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "image/unpack/layer_path.h"
#include "image/unpack/scoped_fd.h"

namespace quoll::unpack {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kAufsMeta = ".wh..wh.";

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

Error Invalid(const TarEntry& entry, const char* why) {
  return Error(Code::kInvalidArgument,
               "member " + Quoted(entry.name) + " " + why);
}

Error Failed(int error, const char* step, const TarEntry& entry) {
  return Error::FromErrno(error, std::string(step) + " " + Quoted(entry.name));
}

// AUFS keeps hard links in a directory /.wh..wh.plnk.
bool IsAufsMeta(std::string_view path) {
  for (size_t at = path.find(kAufsMeta); at != path.npos;
       at = path.find(kAufsMeta, at + 1)) {
    if ((at == 0 || path[at - 1] == '/') && path.substr(at) != kOpaque) {
      return true;
    }
  }
  return false;
}

// trusted.* and user.overlay.* steer overlayfs and are not for images to set;
// labels of security modules belong to the node.
bool IsKept(std::string_view xattr, TarEntry::Type type) {
  const bool is_tree =
      type == TarEntry::Type::kFile || type == TarEntry::Type::kDirectory;
  if (StartsWith(xattr, "user.")) {
    // The kernel has them on files and directories only (xattr(7)).
    return is_tree && !StartsWith(xattr, "user.overlay.");
  }
  return xattr == "security.capability" || xattr == "security.ima" ||
         xattr == "system.posix_acl_access" ||
         xattr == "system.posix_acl_default";
}

Error CheckEntry(const TarEntry& entry, uint64_t max_file_bytes) {
  // -1 means "leave as it is" to chown(2).
  if (entry.uid >= UINT32_MAX || entry.gid >= UINT32_MAX) {
    return Invalid(entry, "has an owner that Linux cannot have");
  }
  if (entry.size_bytes > max_file_bytes) {
    return Error(Code::kResourceExhausted,
                 "member " + Quoted(entry.name) + " is larger than " +
                     std::to_string(max_file_bytes) +
                     " bytes, the limit of this node");
  }
  // linux/kdev_t.h: 12 and 20 bits.
  if (entry.device_major >= 1u << 12 || entry.device_minor >= 1u << 20) {
    return Invalid(entry, "has a device number that Linux cannot have");
  }
  return {};
}

timespec MtimeOf(const TarEntry& entry) {
  return {static_cast<time_t>(entry.mtime_seconds),
          static_cast<long>(entry.mtime_nanoseconds)};
}

Error WriteAt(int fd, std::string_view bytes, uint64_t offset,
              const TarEntry& entry) {
  while (!bytes.empty()) {
    const ssize_t put =
        pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put < 0) {
      return Failed(errno, "write", entry);
    }
    bytes.remove_prefix(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  return {};
}

Error WriteContent(int fd, const TarEntry& entry, TarReader& reader) {
  uint64_t end = 0;
  while (true) {
    uint64_t offset = 0;
    std::string_view chunk;
    QUOLL_RETURN_IF_ERROR(reader.ReadData(&offset, &chunk));
    if (chunk.empty()) {
      break;
    }
    QUOLL_RETURN_IF_ERROR(WriteAt(fd, chunk, offset, entry));
    end = offset + chunk.size();
  }
  if (end < entry.size_bytes &&
      ftruncate(fd, static_cast<off_t>(entry.size_bytes)) != 0) {
    return Failed(errno, "set the size of", entry);
  }
  return {};
}

mode_t TypeBits(TarEntry::Type type) {
  switch (type) {
    case TarEntry::Type::kCharDevice:
      return S_IFCHR;
    case TarEntry::Type::kBlockDevice:
      return S_IFBLK;
    default:
      return S_IFIFO;
  }
}

}  // namespace

Error LayerTree::Add(const TarEntry& entry, TarReader& reader) {
  std::string path;
  QUOLL_RETURN_IF_ERROR(CleanPath(entry.name, &path));
  if (IsAufsMeta(path)) {
    return {};
  }
  QUOLL_RETURN_IF_ERROR(CheckEntry(entry, limits_.max_file_bytes));
  // One member may imply many directories.
  if (++entries_ > limits_.max_entries ||
      directories_.all().size() > limits_.max_entries) {
    return Error(Code::kResourceExhausted,
                 "layer has more than " + std::to_string(limits_.max_entries) +
                     " members, the limit of this node");
  }
  const auto [dir, name] = SplitPath(path);
  Place place;
  place.name = path.empty() ? "." : std::string(name);
  std::string canonical_dir;
  QUOLL_RETURN_IF_ERROR(
      directories_.Resolve(std::string(dir), &canonical_dir, &place.parent_fd));
  place.path = path.empty() ? "" : JoinPath(canonical_dir, name);
  if (place.path.size() >= PATH_MAX) {
    return Invalid(entry, "has too long a name");
  }
  if (name == kOpaque) {
    return directories_.MakeOpaque(canonical_dir);
  }
  if (StartsWith(name, kWhiteout)) {
    place.name = name.substr(kWhiteout.size());
    place.path = JoinPath(canonical_dir, place.name);
    if (place.name.empty() || place.name == "." || place.name == "..") {
      return Invalid(entry, "is a whiteout of nothing");
    }
    return AddWhiteout(place);
  }
  switch (entry.type) {
    case TarEntry::Type::kDirectory:
      return AddDirectory(entry, place);
    case TarEntry::Type::kFile:
      return AddFile(entry, place, reader);
    case TarEntry::Type::kHardLink:
      return AddHardLink(entry, std::move(place));
    default:
      return AddOther(entry, place);
  }
}

// Whiteouts hide what is in lower layers, whatever the order of members.
Error LayerTree::AddWhiteout(const Place& place) {
  if (mknodat(place.parent_fd, place.name.c_str(), S_IFCHR | 0600,
              makedev(0, 0)) == 0) {
    return {};
  }
  if (errno != EEXIST) {
    return Error::FromErrno(errno, "make whiteout " + Quoted(place.path));
  }
  return directories_.all().count(place.path) != 0
             ? directories_.MakeOpaque(place.path)
             : Error();
}

Error LayerTree::AddDirectory(const TarEntry& entry, const Place& place) {
  if (directories_.all().count(place.path) == 0) {
    struct stat status = {};
    const bool over = fstatat(place.parent_fd, place.name.c_str(), &status,
                              AT_SYMLINK_NOFOLLOW) == 0;
    if (over) {
      QUOLL_RETURN_IF_ERROR(directories_.Remove(place.parent_fd, place.path));
    }
    QUOLL_RETURN_IF_ERROR(directories_.Make(place.parent_fd, place.path,
                                            /*implied=*/false, over));
  }
  QUOLL_RETURN_IF_ERROR(SetAttributes(entry, place));
  directories_.Claim(place.path, MtimeOf(entry));
  return {};
}

Error LayerTree::AddFile(const TarEntry& entry, const Place& place,
                         TarReader& reader) {
  if (place.path.empty()) {
    return Invalid(entry, "is the layer's root, but not a directory");
  }
  constexpr int kFlags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(place.parent_fd, place.name.c_str(), kFlags, 0600);
  if (fd < 0 && errno == EEXIST) {
    QUOLL_RETURN_IF_ERROR(directories_.Remove(place.parent_fd, place.path));
    fd = openat(place.parent_fd, place.name.c_str(), kFlags, 0600);
  }
  if (fd < 0) {
    return Failed(errno, "create", entry);
  }
  const ScopedFd file(fd);
  QUOLL_RETURN_IF_ERROR(WriteContent(fd, entry, reader));
  // chown(2) clears the set-ID bits and security.capability, so it is first.
  if (fchown(fd, static_cast<uid_t>(entry.uid),
             static_cast<gid_t>(entry.gid)) != 0 ||
      fchmod(fd, entry.mode) != 0) {
    return Failed(errno, "set owner and mode of", entry);
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (IsKept(name, entry.type) &&
        fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0) {
      return Failed(errno, ("set " + Quoted(name) + " of").c_str(), entry);
    }
  }
  const timespec times[2] = {MtimeOf(entry), MtimeOf(entry)};
  return futimens(fd, times) == 0 ? Error()
                                  : Failed(errno, "set times of", entry);
}

Error LayerTree::AddHardLink(const TarEntry& entry, Place place) {
  std::string target;
  QUOLL_RETURN_IF_ERROR(CleanPath(entry.link_name, &target));
  if (place.path.empty() || target.empty()) {
    return Invalid(entry, "is a hard link to or in place of the root");
  }
  const ScopedFd parent(
      openat(place.parent_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() < 0) {
    return Failed(errno, "open the directory of", entry);
  }
  const auto [dir, name] = SplitPath(target);
  std::string target_dir;
  int target_fd = -1;
  QUOLL_RETURN_IF_ERROR(
      directories_.Resolve(std::string(dir), &target_dir, &target_fd));
  const std::string target_name(name);
  struct stat status = {};
  if (fstatat(target_fd, target_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) !=
          0 ||
      S_ISDIR(status.st_mode) || IsWhiteout(status)) {
    return Error(Code::kInvalidArgument,
                 "member " + Quoted(entry.name) + " is a hard link to " +
                     Quoted(entry.link_name) +
                     ", which is no file of this layer");
  }
  if (JoinPath(target_dir, name) == place.path) {
    return {};
  }
  int result = linkat(target_fd, target_name.c_str(), parent.get(),
                      place.name.c_str(), 0);
  if (result != 0 && errno == EEXIST) {
    QUOLL_RETURN_IF_ERROR(directories_.Remove(parent.get(), place.path));
    result = linkat(target_fd, target_name.c_str(), parent.get(),
                    place.name.c_str(), 0);
  }
  return result == 0 ? Error() : Failed(errno, "link", entry);
}

// Symlinks, devices and FIFOs.
Error LayerTree::AddOther(const TarEntry& entry, const Place& place) {
  if (place.path.empty()) {
    return Invalid(entry, "is the layer's root, but not a directory");
  }
  const bool symlink = entry.type == TarEntry::Type::kSymlink;
  if (symlink && entry.link_name.empty()) {
    return Invalid(entry, "is a symlink to nothing");
  }
  const auto make = [&] {
    return symlink
               ? symlinkat(entry.link_name.c_str(), place.parent_fd,
                           place.name.c_str())
               : mknodat(place.parent_fd, place.name.c_str(),
                         TypeBits(entry.type) | 0600,
                         makedev(static_cast<unsigned>(entry.device_major),
                                 static_cast<unsigned>(entry.device_minor)));
  };
  int result = make();
  if (result != 0 && errno == EEXIST) {
    QUOLL_RETURN_IF_ERROR(directories_.Remove(place.parent_fd, place.path));
    result = make();
  }
  if (result != 0) {
    return Failed(errno, "create", entry);
  }
  QUOLL_RETURN_IF_ERROR(SetAttributes(entry, place));
  const timespec times[2] = {MtimeOf(entry), MtimeOf(entry)};
  return utimensat(place.parent_fd, place.name.c_str(), times,
                   AT_SYMLINK_NOFOLLOW) == 0
             ? Error()
             : Failed(errno, "set times of", entry);
}

// Of everything but files, which have a descriptor of their own.
Error LayerTree::SetAttributes(const TarEntry& entry, const Place& place) {
  const bool symlink = entry.type == TarEntry::Type::kSymlink;
  if (fchownat(place.parent_fd, place.name.c_str(),
               static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid),
               AT_SYMLINK_NOFOLLOW) != 0 ||
      (!symlink &&
       fchmodat(place.parent_fd, place.name.c_str(), entry.mode, 0) != 0)) {
    return Failed(errno, "set owner and mode of", entry);
  }
  // By path, as in Directories::MakeOpaque.
  const std::string path = place.path.empty() ? "." : place.path;
  for (const auto& [name, value] : entry.xattrs) {
    if (IsKept(name, entry.type) &&
        lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) !=
            0) {
      return Failed(errno, ("set " + Quoted(name) + " of").c_str(), entry);
    }
  }
  return {};
}

// The directory itself and what is in it, except for other directories.
Error LayerTree::Count(const std::string& path, Result* result) {
  int fd = -1;
  QUOLL_RETURN_IF_ERROR(directories_.Open(path, &fd));
  DIR* const dir = fdopendir(fd);
  if (dir == nullptr) {
    const int error = errno;
    close(fd);
    return Error::FromErrno(error, "read directory " + Quoted(path));
  }
  Error error;
  while (const dirent* const item = readdir(dir)) {
    const std::string_view name = item->d_name;
    if (name == ".." || (name != "." && item->d_type == DT_DIR)) {
      continue;
    }
    struct stat status = {};
    if (fstatat(dirfd(dir), item->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      error =
          Error::FromErrno(errno, "look up " + Quoted(JoinPath(path, name)));
      break;
    }
    // d_type may be DT_UNKNOWN (readdir(3)).
    const bool other_directory = name != "." && S_ISDIR(status.st_mode);
    const bool seen = !S_ISDIR(status.st_mode) && status.st_nlink > 1 &&
                      !linked_.insert(status.st_ino).second;
    if (!other_directory && !seen) {
      // Delayed allocation is in st_blocks already (ext4, XFS, btrfs).
      result->bytes += static_cast<uint64_t>(status.st_blocks) * 512;
      ++result->inodes;
    }
  }
  closedir(dir);
  return error;
}

Error LayerTree::Finish(Result* result) {
  for (const auto& [path, state] : directories_.all()) {
    QUOLL_RETURN_IF_ERROR(Count(path, result));
    if (state.implied) {
      result->implied.push_back(path.empty() ? "." : path);
    }
    // Now that nothing is made in it any more. Implied ones get the epoch: a
    // layer's content does not depend on the day on which it was unpacked.
    const timespec times[2] = {state.mtime, state.mtime};
    if (utimensat(root_fd_, path.empty() ? "." : path.c_str(), times,
                  AT_SYMLINK_NOFOLLOW) != 0) {
      return Error::FromErrno(errno, "set times of " + Quoted(path));
    }
  }
  return {};
}

}  // namespace quoll::unpack
