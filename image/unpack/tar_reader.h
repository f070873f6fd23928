// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "image/unpack/byte_source.h"
#include "image/unpack/pax.h"
#include "image/unpack/tar_entry.h"
#include "image/unpack/tar_header.h"

namespace quoll::unpack {

// Reads the members of a tar archive, one after another: v7, ustar, GNU (long
// names, base-256, sparse) and pax. Where dialects leave a choice it follows
// Go's archive/tar, which most container tools use, so that all see the same
// files. Nothing that the archive says makes it allocate more than a few MiB
// (a sparse file's map: 16 MiB). Not thread-safe.
//
//   while (Next(&entry, &more), more) while (ReadData(...), !chunk.empty()) ...
class TarReader {
 public:
  explicit TarReader(ByteSource& source) : source_(source) {}

  // The next member; what was not read of the last one is skipped. `*more` is
  // false at the end of the archive: two zero blocks, or the end of the stream
  // between two members. Errors: kInvalidArgument, and those of the source.
  Error Next(TarEntry* entry, bool* more);

  // The next bytes of the current file and where they belong in it; none at its
  // end. Holes of sparse files are left out.
  Error ReadData(uint64_t* offset, std::string_view* chunk);

 private:
  Error ReadBlock(std::string* block, bool* at_end);
  Error ReadMeta(const TarHeader& header, std::string* text);
  Error ApplyExtension(const TarHeader& header);
  Error SkipToNextHeader();
  Error MakeEntry(const TarHeader& header, const std::string& block,
                  TarEntry* entry);
  Error SetNames(const TarHeader& header, TarEntry* entry) const;
  Error StartData(const TarHeader& header, const std::string& block,
                  TarEntry* entry);
  Error ReadOldGnuMap(std::string block, std::vector<Extent>* map);
  Error ReadPax1Map(std::vector<Extent>* map);
  Error ReadMapNumber(std::string* line_buffer, uint64_t* number);
  // Bytes that the current member still has in the archive, padding excluded.
  Error ReadStored(size_t max, std::string_view* chunk);

  ByteSource& source_;
  PaxRecords global_;
  // In front of the member that is being read.
  PaxRecords local_;
  std::string long_name_;
  std::string long_link_;
  size_t meta_bytes_ = 0;

  uint64_t stored_left_ = 0;  // of the current member
  uint64_t padding_ = 0;
  std::vector<Extent> extents_;  // of the current file, in order
  size_t extent_ = 0;
  uint64_t extent_used_ = 0;
};

}  // namespace quoll::unpack
