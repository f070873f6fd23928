// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "image/unpack/error.h"

namespace quoll::unpack {

// The directories of a layer that is being written. Paths are clean (see
// layer_path.h) and, once they come out of Resolve, free of symlinks. Opens
// everything with openat2(2) beneath the root and without following symlinks
// (Linux 5.6). Not thread-safe.
class Directories {
 public:
  // Borrows `root_fd`, the layer's root directory.
  explicit Directories(int root_fd);
  ~Directories();
  Directories(const Directories&) = delete;
  Directories& operator=(const Directories&) = delete;

  // An O_PATH descriptor of the directory `path`, made with its parents when
  // it is missing ("implied": mode 0755, root). Symlinks of this layer on the
  // way are followed inside the layer, as Docker does; `*canonical` is the path
  // without them. The descriptor stays ours and is valid until the next call.
  Error Resolve(const std::string& path, std::string* canonical, int* fd);

  // mkdir(2) of a member; `path` is canonical and does not exist. `over` says
  // that it takes the place of something that was no directory.
  Error Make(int parent_fd, const std::string& path, bool implied, bool over);
  // The layer itself says what `path` is like.
  void Claim(const std::string& path, timespec mtime);
  // trusted.overlay.opaque: hides what lower layers have in it.
  Error MakeOpaque(const std::string& path);

  // Removes whatever is at the canonical `path`, with everything below it.
  Error Remove(int parent_fd, const std::string& path);

  // A directory that is opened for reading; the caller closes it.
  Error Open(const std::string& path, int* fd) const;

  struct State {
    bool implied = true;
    timespec mtime = {};
  };
  // All of them by canonical path; "" is the root.
  const std::map<std::string, State>& all() const { return all_; }

 private:
  Error Walk(const std::string& path, std::string* canonical);
  Error Enter(int parent_fd, const std::string& path, std::string* link);
  Error RemoveOne(const std::string& path);

  const int root_fd_;
  std::map<std::string, State> all_;
  // Members of one directory come together: the last one is kept open.
  std::string cached_path_;
  std::string cached_canonical_;
  int cached_fd_ = -1;
  bool cached_stale_ = false;
};

// An overlay whiteout: the character device 0/0.
bool IsWhiteout(const struct stat& status);

}  // namespace quoll::unpack
