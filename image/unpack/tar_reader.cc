// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/tar_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace quoll::unpack {
namespace {

// All extended headers of one member together, and all global ones.
constexpr size_t kMaxMetaBytes = 1 << 20;
constexpr size_t kMaxNameBytes = 4095;  // PATH_MAX without the NUL
constexpr size_t kMaxExtents = 1 << 20;
constexpr uint64_t kMaxSize = std::numeric_limits<int64_t>::max() / 2;

Error Malformed(const std::string& what) {
  return Error(Code::kInvalidArgument, "tar archive: " + what);
}

uint64_t PaddingOf(uint64_t size) {
  return (kTarBlockBytes - size % kTarBlockBytes) % kTarBlockBytes;
}

size_t SizeOf(const std::map<std::string, std::string>& texts) {
  size_t size = 0;
  for (const auto& [key, value] : texts) {
    size += key.size() + value.size();
  }
  return size;
}

// False for the types whose size field means nothing (a hard link may repeat
// the size of its target without having its bytes).
bool HasData(TarEntry::Type type) {
  return type == TarEntry::Type::kFile;
}

Error TypeOf(const TarHeader& header, const std::string& name,
             TarEntry::Type* type) {
  switch (header.type) {
    case '0':
    case '\0':
      // v7 has no type for directories: their names end in a slash.
      *type = header.type == '\0' && !name.empty() && name.back() == '/'
                  ? TarEntry::Type::kDirectory
                  : TarEntry::Type::kFile;
      return {};
    case '7':  // "contiguous": a file
    case 'S':  // GNU sparse
      *type = TarEntry::Type::kFile;
      return {};
    case '1':
      *type = TarEntry::Type::kHardLink;
      return {};
    case '2':
      *type = TarEntry::Type::kSymlink;
      return {};
    case '3':
      *type = TarEntry::Type::kCharDevice;
      return {};
    case '4':
      *type = TarEntry::Type::kBlockDevice;
      return {};
    case '5':
      *type = TarEntry::Type::kDirectory;
      return {};
    case '6':
      *type = TarEntry::Type::kFifo;
      return {};
    default:
      return Malformed("member " + Quoted(name) + " has the unknown type " +
                       Quoted(std::string_view(&header.type, 1)));
  }
}

// In order, without overlap, inside the file, and exactly as many bytes as the
// archive has.
Error CheckExtents(const std::vector<Extent>& extents, uint64_t real_size,
                   uint64_t stored) {
  uint64_t end = 0;
  uint64_t sum = 0;
  for (const Extent& extent : extents) {
    if (extent.offset < end || extent.offset > real_size ||
        extent.size > real_size - extent.offset) {
      return Malformed("map of a sparse file is out of order or range");
    }
    end = extent.offset + extent.size;
    sum += extent.size;
  }
  return sum == stored
             ? Error()
             : Malformed("map of a sparse file does not match its data");
}

}  // namespace

Error TarReader::ReadBlock(std::string* block, bool* at_end) {
  block->clear();
  *at_end = false;
  while (block->size() < kTarBlockBytes) {
    std::string_view chunk;
    QUOLL_RETURN_IF_ERROR(source_.Next(kTarBlockBytes - block->size(), &chunk));
    if (chunk.empty()) {
      *at_end = block->empty();
      return *at_end ? Error() : Malformed("ends in the middle of a header");
    }
    *block += chunk;
  }
  return {};
}

Error TarReader::ReadStored(size_t max, std::string_view* chunk) {
  *chunk = {};
  if (stored_left_ == 0) {
    return {};
  }
  QUOLL_RETURN_IF_ERROR(source_.Next(
      static_cast<size_t>(std::min<uint64_t>(max, stored_left_)), chunk));
  stored_left_ -= chunk->size();
  return chunk->empty() ? Malformed("ends in the middle of a member") : Error();
}

Error TarReader::SkipToNextHeader() {
  stored_left_ += padding_;
  padding_ = 0;
  std::string_view chunk;
  do {
    QUOLL_RETURN_IF_ERROR(ReadStored(kMaxMetaBytes, &chunk));
  } while (!chunk.empty());
  return {};
}

Error TarReader::ReadMeta(const TarHeader& header, std::string* text) {
  meta_bytes_ += kTarBlockBytes;
  if (header.size > kMaxMetaBytes ||
      meta_bytes_ + header.size > kMaxMetaBytes) {
    return Malformed("extended headers of a member are larger than 1 MiB");
  }
  meta_bytes_ += static_cast<size_t>(header.size);
  text->clear();
  std::string_view chunk;
  do {
    QUOLL_RETURN_IF_ERROR(ReadStored(kMaxMetaBytes, &chunk));
    *text += chunk;
  } while (!chunk.empty());
  return {};
}

// The members that are not files but say something about the next one.
Error TarReader::ApplyExtension(const TarHeader& header) {
  std::string text;
  QUOLL_RETURN_IF_ERROR(ReadMeta(header, &text));
  switch (header.type) {
    case 'x':
      return ParsePax(text, &local_);
    case 'g':
      QUOLL_RETURN_IF_ERROR(ParsePax(text, &global_));
      // Names and sizes for all members make no sense, and readers disagree
      // about them: what one tool checks must be what another unpacks.
      if (global_.path || global_.link_path || global_.size ||
          global_.sparse_name || global_.sparse_real_size ||
          global_.has_sparse_map) {
        return Malformed("global header sets a name or a size");
      }
      return SizeOf(global_.xattrs) <= kMaxMetaBytes
                 ? Error()
                 : Malformed("global headers are larger than 1 MiB");
    case 'L':
      long_name_ = text.substr(0, text.find('\0'));
      return {};
    default:
      long_link_ = text.substr(0, text.find('\0'));
      return {};
  }
}

Error TarReader::Next(TarEntry* entry, bool* more) {
  *more = false;
  local_ = PaxRecords();
  long_name_.clear();
  long_link_.clear();
  meta_bytes_ = 0;
  extents_.clear();
  std::string block;
  while (true) {
    QUOLL_RETURN_IF_ERROR(SkipToNextHeader());
    bool at_end = false;
    QUOLL_RETURN_IF_ERROR(ReadBlock(&block, &at_end));
    if (!at_end && IsZeroBlock(block)) {
      QUOLL_RETURN_IF_ERROR(ReadBlock(&block, &at_end));
      if (!at_end && !IsZeroBlock(block)) {
        return Malformed("goes on after a block of zeros");
      }
      at_end = true;
    }
    if (at_end) {
      return meta_bytes_ == 0 ? Error()
                              : Malformed("ends after an extended header");
    }
    TarHeader header;
    QUOLL_RETURN_IF_ERROR(ParseTarHeader(block, &header));
    const bool extension = header.type == 'x' || header.type == 'g' ||
                           header.type == 'L' || header.type == 'K';
    if (!extension) {
      *more = true;
      return MakeEntry(header, block, entry);
    }
    if (header.size > kMaxSize) {
      return Malformed("extended header is too large");
    }
    stored_left_ = header.size;
    padding_ = PaddingOf(header.size);
    const size_t meta_bytes = meta_bytes_;
    QUOLL_RETURN_IF_ERROR(ApplyExtension(header));
    if (header.type == 'g') {
      meta_bytes_ = meta_bytes;  // belongs to no member: may be the last one
    }
  }
}

Error TarReader::SetNames(const TarHeader& header, TarEntry* entry) const {
  entry->name = header.name;
  entry->link_name = header.link_name;
  if (!long_name_.empty()) {
    entry->name = long_name_;
  }
  if (!long_link_.empty()) {
    entry->link_name = long_link_;
  }
  entry->name = local_.path.value_or(entry->name);
  entry->link_name = local_.link_path.value_or(entry->link_name);
  // In a sparse pax member "path" is a made-up name for other readers.
  entry->name = local_.sparse_name.value_or(entry->name);
  if (entry->name.size() > kMaxNameBytes ||
      entry->link_name.size() > kMaxNameBytes) {
    return Malformed("name of more than 4095 bytes: " + Quoted(entry->name));
  }
  return {};
}

Error TarReader::MakeEntry(const TarHeader& header, const std::string& block,
                           TarEntry* entry) {
  *entry = TarEntry();
  QUOLL_RETURN_IF_ERROR(SetNames(header, entry));
  QUOLL_RETURN_IF_ERROR(TypeOf(header, entry->name, &entry->type));
  entry->mode = static_cast<uint32_t>(header.mode & 07777);
  entry->uid = local_.uid.value_or(global_.uid.value_or(header.uid));
  entry->gid = local_.gid.value_or(global_.gid.value_or(header.gid));
  entry->device_major = header.device_major;
  entry->device_minor = header.device_minor;
  entry->mtime_seconds = header.mtime;
  if (const auto& mtime = local_.mtime ? local_.mtime : global_.mtime) {
    entry->mtime_seconds = mtime->seconds;
    entry->mtime_nanoseconds = mtime->nanoseconds;
  }
  entry->xattrs = std::move(local_.xattrs);
  entry->xattrs.insert(global_.xattrs.begin(), global_.xattrs.end());
  return StartData(header, block, entry);
}

Error TarReader::StartData(const TarHeader& header, const std::string& block,
                           TarEntry* entry) {
  stored_left_ = 0;
  padding_ = 0;
  extent_ = 0;
  extent_used_ = 0;
  if (!HasData(entry->type)) {
    return {};
  }
  const uint64_t stored = local_.size.value_or(header.size);
  if (stored > kMaxSize) {
    return Malformed("member " + Quoted(entry->name) + " is too large");
  }
  stored_left_ = stored;
  padding_ = PaddingOf(stored);
  entry->size_bytes = stored;
  const bool pax1 = local_.sparse_major == 1u && local_.sparse_minor == 0u;
  if (local_.sparse_major && !pax1) {
    return Malformed("member " + Quoted(entry->name) +
                     " is sparse in an unknown version of the format");
  }
  if (header.type == 'S') {
    QUOLL_RETURN_IF_ERROR(ParseTarNumber(
        std::string_view(block).substr(483, 12), &entry->size_bytes));
    QUOLL_RETURN_IF_ERROR(ReadOldGnuMap(block, &extents_));
  } else if (pax1 || local_.has_sparse_map) {
    if (!local_.sparse_real_size) {
      return Malformed("sparse member " + Quoted(entry->name) +
                       " does not say its size");
    }
    entry->size_bytes = *local_.sparse_real_size;
    if (pax1) {
      QUOLL_RETURN_IF_ERROR(ReadPax1Map(&extents_));
    } else {
      extents_ = std::move(local_.sparse_map);
    }
  } else {
    extents_ = {{0, stored}};
  }
  return CheckExtents(extents_, entry->size_bytes, stored_left_);
}

// GNU tar manual, "Old GNU Format": 4 pairs in the header, then blocks of 21.
Error TarReader::ReadOldGnuMap(std::string block, std::vector<Extent>* map) {
  size_t at = 386;
  size_t pairs = 4;
  size_t more_flag = 482;
  while (true) {
    for (size_t i = 0; i < pairs; ++i, at += 24) {
      const std::string_view pair = std::string_view(block).substr(at, 24);
      if (pair[0] == '\0') {
        break;  // unused, and so are the rest
      }
      Extent extent;
      QUOLL_RETURN_IF_ERROR(ParseTarNumber(pair.substr(0, 12), &extent.offset));
      QUOLL_RETURN_IF_ERROR(ParseTarNumber(pair.substr(12), &extent.size));
      map->push_back(extent);
    }
    if (block[more_flag] == '\0') {
      return {};
    }
    if (map->size() > kMaxExtents) {
      return Malformed("map of a sparse file is too large");
    }
    // These blocks are not part of the member's size.
    bool at_end = false;
    QUOLL_RETURN_IF_ERROR(ReadBlock(&block, &at_end));
    if (at_end) {
      return Malformed("ends in the map of a sparse file");
    }
    at = 0;
    pairs = 21;
    more_flag = 504;
  }
}

// GNU tar manual, "PAX Format, Version 1.0": in front of the data, in decimal
// lines, padded to a whole block: the number of pairs, then the pairs.
Error TarReader::ReadPax1Map(std::vector<Extent>* map) {
  std::string block;
  uint64_t count = 0;
  QUOLL_RETURN_IF_ERROR(ReadMapNumber(&block, &count));
  if (count > kMaxExtents) {
    return Malformed("map of a sparse file is too large");
  }
  for (uint64_t i = 0; i < count; ++i) {
    Extent extent;
    QUOLL_RETURN_IF_ERROR(ReadMapNumber(&block, &extent.offset));
    QUOLL_RETURN_IF_ERROR(ReadMapNumber(&block, &extent.size));
    map->push_back(extent);
  }
  return {};
}

// `rest` is what is left of the last block that was read.
Error TarReader::ReadMapNumber(std::string* rest, uint64_t* number) {
  constexpr size_t kMaxDigits = 20;
  size_t newline = rest->find('\n');
  while (newline == rest->npos) {
    if (rest->size() > kMaxDigits) {
      return Malformed("map of a sparse file has no end of line");
    }
    std::string block;
    while (block.size() < kTarBlockBytes) {
      std::string_view chunk;
      QUOLL_RETURN_IF_ERROR(ReadStored(kTarBlockBytes - block.size(), &chunk));
      if (chunk.empty()) {
        return Malformed("map of a sparse file is longer than the member");
      }
      block += chunk;
    }
    *rest += block;
    newline = rest->find('\n');
  }
  QUOLL_RETURN_IF_ERROR(
      ParseDecimal(std::string_view(*rest).substr(0, newline), number));
  rest->erase(0, newline + 1);
  return {};
}

Error TarReader::ReadData(uint64_t* offset, std::string_view* chunk) {
  *chunk = {};
  while (extent_ < extents_.size() && extent_used_ == extents_[extent_].size) {
    ++extent_;
    extent_used_ = 0;
  }
  if (extent_ == extents_.size()) {
    return {};
  }
  const Extent& extent = extents_[extent_];
  const uint64_t left = extent.size - extent_used_;
  *offset = extent.offset + extent_used_;
  QUOLL_RETURN_IF_ERROR(ReadStored(
      static_cast<size_t>(std::min<uint64_t>(left, kMaxMetaBytes)), chunk));
  extent_used_ += chunk->size();
  return {};
}

}  // namespace quoll::unpack
