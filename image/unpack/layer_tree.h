// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "image/unpack/directories.h"
#include "image/unpack/error.h"
#include "image/unpack/tar_entry.h"
#include "image/unpack/tar_reader.h"

namespace quoll::unpack {

// Writes the members of one layer below a directory, in overlay format (OCI
// image-spec layer.md -> Documentation/filesystems/overlayfs.rst):
//
//   .wh.NAME             character device 0/0 at NAME; nothing when the layer
//                        has a NAME of its own, which then hides the lower one
//                        (a directory by being opaque)
//   .wh..wh..opq         trusted.overlay.opaque=y on its directory
//   .wh..wh.*            metadata of AUFS: ignored
//   a member twice       the later one wins; directories are merged
//
// Must run as root, with the layer's root directory as the process's root and
// working directory. Not thread-safe.
class LayerTree {
 public:
  struct Limits {
    uint64_t max_entries = 0;
    uint64_t max_file_bytes = 0;  // apparent size, holes included
  };
  struct Result {
    uint64_t bytes = 0;   // st_blocks * 512 of everything
    uint64_t inodes = 0;  // hard links count once
    // Directories that the layer only implies, canonical paths; "." is the
    // root. What they look like is for the layers below to say.
    std::vector<std::string> implied;
  };

  // Borrows `root_fd`.
  LayerTree(int root_fd, Limits limits)
      : limits_(limits), root_fd_(root_fd), directories_(root_fd) {}

  // `reader` stands at the data of `entry`.
  Error Add(const TarEntry& entry, TarReader& reader);

  // After the last member: times of directories, and the sum.
  Error Finish(Result* result);

 private:
  struct Place {       // where a member goes
    std::string path;  // canonical
    std::string name;  // last component; "." for the root
    int parent_fd = -1;
  };

  Error AddWhiteout(const Place& place);
  Error AddDirectory(const TarEntry& entry, const Place& place);
  Error AddFile(const TarEntry& entry, const Place& place, TarReader& reader);
  Error AddHardLink(const TarEntry& entry, Place place);
  Error AddOther(const TarEntry& entry, const Place& place);
  Error SetAttributes(const TarEntry& entry, const Place& place);
  Error Count(const std::string& path, Result* result);

  const Limits limits_;
  const int root_fd_;
  Directories directories_;
  uint64_t entries_ = 0;
  // Inodes with several names that were counted already.
  std::unordered_set<uint64_t> linked_;
};

}  // namespace quoll::unpack
