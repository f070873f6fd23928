// SPDX-License-Identifier: Apache-2.0
#include "runtime/disk_usage.h"

#include <fts.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <memory>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace quoll::runtime {

absl::StatusOr<DiskUsage> MeasureTree(const std::string& directory) {
  constexpr uint64_t kBlock = 512;  // of st_blocks, whatever the disk's is
  std::string root = directory;
  std::array<char*, 2> roots = {root.data(), nullptr};
  // FTS_NOCHDIR: the working directory belongs to the whole process.
  const std::unique_ptr<FTS, int (*)(FTS*)> walk(
      fts_open(roots.data(), FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr),
      &fts_close);
  if (walk == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("walk ", directory));
  }
  DiskUsage usage;
  std::set<ino_t> linked;  // one file system, so the number is enough
  while (true) {
    errno = 0;
    const FTSENT* const entry = fts_read(walk.get());
    if (entry == nullptr) {
      break;
    }
    if (entry->fts_info == FTS_DP || entry->fts_info == FTS_NS ||
        entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR) {
      continue;  // seen before, or gone by now
    }
    const struct stat& info = *entry->fts_statp;
    const bool may_repeat = info.st_nlink > 1 && !S_ISDIR(info.st_mode);
    if (may_repeat && !linked.insert(info.st_ino).second) {
      continue;
    }
    usage.bytes += static_cast<uint64_t>(info.st_blocks) * kBlock;
    ++usage.inodes;
  }
  if (errno != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("walk ", directory));
  }
  return usage;
}

}  // namespace quoll::runtime
