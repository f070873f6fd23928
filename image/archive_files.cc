// SPDX-License-Identifier: Apache-2.0
#include "image/archive_files.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "image/waiting.h"
#include "os/annotate.h"
#include "os/rooted_path.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"

namespace quoll::image {
namespace {

constexpr size_t kBlock = 1u << 20;
// docker save writes four entries per layer; this is far beyond any image.
constexpr size_t kMaxEntries = 100'000;
constexpr int kMaxLinks = 8;

// Read() in terms of Stream().
absl::StatusOr<std::string> ReadByStream(const ArchiveFiles& files,
                                         const std::string& path,
                                         size_t max_bytes,
                                         const os::Call& call) {
  std::string content;
  QUOLL_RETURN_IF_ERROR(files.Stream(
      path, 0,
      [&](absl::string_view chunk) -> absl::Status {
        if (chunk.size() > max_bytes - content.size()) {
          return absl::ResourceExhaustedError(absl::StrCat(
              path, ": bigger than the limit of ", max_bytes, " bytes"));
        }
        absl::StrAppend(&content, chunk);
        return absl::OkStatus();
      },
      call));
  return content;
}

// ------------------------------------------------------------- directory

class DirectoryFiles : public ArchiveFiles {
 public:
  explicit DirectoryFiles(os::UniqueFd root) : root_(std::move(root)) {}

  bool Has(const std::string& path) const override { return Open(path).ok(); }

  absl::StatusOr<std::string> Read(const std::string& path, size_t max_bytes,
                                   const os::Call& call) const override {
    return ReadByStream(*this, path, max_bytes, call);
  }

  absl::Status Stream(const std::string& path, int64_t offset,
                      const ByteSink& sink,
                      const os::Call& call) const override {
    QUOLL_ASSIGN_OR_RETURN(const os::UniqueFd fd, Open(path));
    std::vector<char> buffer(kBlock);
    while (true) {
      QUOLL_RETURN_IF_ERROR(CheckCall(call));
      const ssize_t got = pread(fd.get(), buffer.data(), buffer.size(), offset);
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got < 0) {
        return absl::ErrnoToStatus(errno, absl::StrCat(path, ": read"));
      }
      if (got == 0) {
        return absl::OkStatus();
      }
      offset += got;
      QUOLL_RETURN_IF_ERROR(
          sink(absl::string_view(buffer.data(), static_cast<size_t>(got))));
    }
  }

  absl::StatusOr<int64_t> Size(const std::string& path) const override {
    QUOLL_ASSIGN_OR_RETURN(const os::UniqueFd fd, Open(path));
    struct stat info = {};
    if (fstat(fd.get(), &info) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat(path, ": stat"));
    }
    return info.st_size;
  }

 private:
  absl::StatusOr<os::UniqueFd> Open(const std::string& path) const {
    // Non-blocking, so that a FIFO planted under a blob's name does not hold
    // us; regular files do not care.
    QUOLL_ASSIGN_OR_RETURN(
        os::UniqueFd fd,
        os::OpenInRoot(root_.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    struct stat info = {};
    if (fstat(fd.get(), &info) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat(path, ": stat"));
    }
    if (!S_ISREG(info.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": not a regular file"));
    }
    return fd;
  }

  os::UniqueFd root_;
};

// ------------------------------------------------------------------- tar

// One pass of libarchive over the file. pread keeps passes of several threads
// on one descriptor apart; skipping an uncompressed member is one addition.
class TarPass {
 public:
  TarPass(int fd, const os::Call& call) : fd_(fd), call_(call) {}
  TarPass(const TarPass&) = delete;
  TarPass& operator=(const TarPass&) = delete;
  ~TarPass() { archive_read_free(archive_); }

  absl::Status Open() {
    archive_ = archive_read_new();
    if (archive_ == nullptr) {
      return absl::ResourceExhaustedError("libarchive: out of memory");
    }
    archive_read_support_format_tar(archive_);
    archive_read_support_filter_gzip(archive_);
    archive_read_support_filter_zstd(archive_);
    archive_read_support_filter_xz(archive_);
    archive_read_support_filter_bzip2(archive_);
    archive_read_set_callback_data(archive_, this);
    archive_read_set_read_callback(archive_, &TarPass::OnRead);
    archive_read_set_skip_callback(archive_, &TarPass::OnSkip);
    return Check(archive_read_open1(archive_), "open");
  }

  // nullptr at the end.
  absl::StatusOr<archive_entry*> Next() {
    QUOLL_RETURN_IF_ERROR(CheckCall(call_));
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(archive_, &entry);
    if (result == ARCHIVE_EOF) {
      return nullptr;
    }
    QUOLL_RETURN_IF_ERROR(Check(result, "read header"));
    return entry;
  }

  // The next bytes of the current member; empty at its end.
  absl::StatusOr<size_t> ReadData(char* buffer, size_t size) {
    QUOLL_RETURN_IF_ERROR(CheckCall(call_));
    const la_ssize_t got = archive_read_data(archive_, buffer, size);
    if (got < 0) {
      return Check(static_cast<int>(got), "read");
    }
    return static_cast<size_t>(got);
  }

 private:
  absl::Status Check(int result, absl::string_view step) {
    QUOLL_RETURN_IF_ERROR(CheckCall(call_));  // what OnRead stopped for
    if (result == ARCHIVE_OK || result == ARCHIVE_WARN) {
      return absl::OkStatus();
    }
    const char* words = archive_error_string(archive_);
    return absl::DataLossError(absl::StrCat(
        "tar: ", step, ": ", words == nullptr ? "unknown error" : words));
  }

  static la_ssize_t OnRead(archive* a, void* self, const void** out) {
    auto* pass = static_cast<TarPass*>(self);
    if (!CheckCall(pass->call_).ok()) {
      archive_set_error(a, ECANCELED, "given up");
      return -1;
    }
    ssize_t got;
    do {
      got = pread(pass->fd_, pass->buffer_.data(), pass->buffer_.size(),
                  pass->position_);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
      archive_set_error(a, errno, "read");
      return -1;
    }
    pass->position_ += got;
    *out = pass->buffer_.data();
    return got;
  }

  static la_int64_t OnSkip(archive*, void* self, la_int64_t request) {
    static_cast<TarPass*>(self)->position_ += request;
    return request;
  }

  const int fd_;
  const os::Call& call_;
  struct archive* archive_ = nullptr;
  std::vector<char> buffer_ = std::vector<char>(kBlock);
  off_t position_ = 0;
};

class TarFiles : public ArchiveFiles {
 public:
  static absl::StatusOr<std::unique_ptr<ArchiveFiles>> Open(
      os::UniqueFd fd, const os::Call& call) {
    auto files = std::make_unique<TarFiles>(std::move(fd));
    QUOLL_RETURN_IF_ERROR(files->ReadIndex(call));
    return files;
  }

  explicit TarFiles(os::UniqueFd fd) : fd_(std::move(fd)) {}

  bool Has(const std::string& path) const override {
    return Resolve(path).ok();
  }

  absl::StatusOr<std::string> Read(const std::string& path, size_t max_bytes,
                                   const os::Call& call) const override {
    return ReadByStream(*this, path, max_bytes, call);
  }

  absl::Status Stream(const std::string& path, int64_t offset,
                      const ByteSink& sink,
                      const os::Call& call) const override {
    QUOLL_ASSIGN_OR_RETURN(const Member member, Resolve(path));
    TarPass pass(fd_.get(), call);
    QUOLL_RETURN_IF_ERROR(pass.Open());
    for (size_t i = 0; i <= member.ordinal; ++i) {
      QUOLL_ASSIGN_OR_RETURN(archive_entry * entry, pass.Next());
      if (entry == nullptr) {
        return absl::DataLossError(
            absl::StrCat(path, ": the archive changed while it was read"));
      }
    }
    std::vector<char> buffer(kBlock);
    while (true) {
      QUOLL_ASSIGN_OR_RETURN(const size_t got,
                             pass.ReadData(buffer.data(), buffer.size()));
      if (got == 0) {
        return absl::OkStatus();
      }
      absl::string_view chunk(buffer.data(), got);
      const size_t skip = static_cast<size_t>(
          std::min(offset, static_cast<int64_t>(chunk.size())));
      offset -= static_cast<int64_t>(skip);
      chunk.remove_prefix(skip);
      if (!chunk.empty()) {
        QUOLL_RETURN_IF_ERROR(sink(chunk));
      }
    }
  }

  absl::StatusOr<int64_t> Size(const std::string& path) const override {
    QUOLL_ASSIGN_OR_RETURN(const Member member, Resolve(path));
    return member.size_bytes;
  }

 private:
  struct Member {
    size_t ordinal = 0;
    int64_t size_bytes = 0;
    std::string link;  // normal path of what a (sym)link stands for
  };

  absl::Status ReadIndex(const os::Call& call) {
    TarPass pass(fd_.get(), call);
    QUOLL_RETURN_IF_ERROR(pass.Open());
    for (size_t ordinal = 0;; ++ordinal) {
      QUOLL_ASSIGN_OR_RETURN(archive_entry * entry, pass.Next());
      if (entry == nullptr) {
        return absl::OkStatus();
      }
      if (ordinal >= kMaxEntries) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "tar: more than ", kMaxEntries, " entries; not an image archive"));
      }
      const char* name = archive_entry_pathname(entry);
      const std::string path = NormalArchivePath(name == nullptr ? "" : name);
      if (path.empty()) {
        continue;
      }
      Member member{.ordinal = ordinal,
                    .size_bytes = archive_entry_size(entry),
                    .link = ""};
      const char* hard = archive_entry_hardlink(entry);
      const bool is_symlink = archive_entry_filetype(entry) == AE_IFLNK;
      if (hard != nullptr) {
        member.link = NormalArchivePath(hard);
      } else if (is_symlink) {
        // Old docker save: "../<other layer>/layer.tar".
        const char* target = archive_entry_symlink(entry);
        member.link = NormalArchivePath(
            absl::StrCat(path, "/../", target == nullptr ? "" : target));
      } else if (archive_entry_filetype(entry) != AE_IFREG) {
        continue;
      }
      if ((hard != nullptr || is_symlink) && member.link.empty()) {
        continue;  // it leads out of the archive: as if it were not there
      }
      members_[path] = std::move(member);  // the last one counts, as in tar
    }
  }

  absl::StatusOr<Member> Resolve(const std::string& path) const {
    std::string name = NormalArchivePath(path);
    for (int hop = 0; hop <= kMaxLinks; ++hop) {
      const auto it = members_.find(name);
      if (it == members_.end()) {
        return absl::NotFoundError(
            absl::StrCat("\"", absl::CEscape(path.substr(0, 200)),
                         "\" is not in the archive"));
      }
      if (it->second.link.empty()) {
        return it->second;
      }
      name = it->second.link;
    }
    return absl::DataLossError(absl::StrCat(
        "\"", absl::CEscape(path.substr(0, 200)), "\": links in circles"));
  }

  os::UniqueFd fd_;
  std::map<std::string, Member> members_;  // const after Open
};

}  // namespace

std::string NormalArchivePath(const std::string& path) {
  std::vector<absl::string_view> parts;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == ".") {
      continue;
    }
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return "";
    } else {
      parts.pop_back();
    }
  }
  return absl::StrJoin(parts, "/");
}

absl::StatusOr<std::unique_ptr<ArchiveFiles>> OpenArchiveFiles(
    const std::string& path, const os::Call& call) {
  QUOLL_RETURN_IF_ERROR(CheckCall(call));
  // The operator's own path: its symlinks are followed, but a FIFO must not
  // hold us.
  os::UniqueFd fd(
      open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": open"));
  }
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": stat"));
  }
  if (S_ISDIR(info.st_mode)) {
    return std::make_unique<DirectoryFiles>(std::move(fd));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": neither a directory nor a file"));
  }
  absl::StatusOr<std::unique_ptr<ArchiveFiles>> files =
      TarFiles::Open(std::move(fd), call);
  if (!files.ok()) {
    return os::Annotate(files.status(), path);
  }
  return files;
}

}  // namespace quoll::image
