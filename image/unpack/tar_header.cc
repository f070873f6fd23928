// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/tar_header.h"

#include <limits>

namespace quoll::unpack {
namespace {

// Offsets and sizes of the fields: POSIX.1-2017, pax, "ustar Interchange
// Format"; the GNU and star manuals for what differs.
struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName = {0, 100};
constexpr Field kMode = {100, 8};
constexpr Field kUid = {108, 8};
constexpr Field kGid = {116, 8};
constexpr Field kSize = {124, 12};
constexpr Field kMtime = {136, 12};
constexpr Field kChecksum = {148, 8};
constexpr size_t kType = 156;
constexpr Field kLinkName = {157, 100};
constexpr Field kMagic = {257, 6};
constexpr Field kDeviceMajor = {329, 8};
constexpr Field kDeviceMinor = {337, 8};
constexpr Field kPrefix = {345, 155};
constexpr Field kStarPrefix = {345, 131};
constexpr Field kStarMagic = {508, 4};

std::string_view Bytes(std::string_view block, Field field) {
  return block.substr(field.offset, field.size);
}

// Up to the first NUL.
std::string_view Text(std::string_view block, Field field) {
  const std::string_view bytes = Bytes(block, field);
  return bytes.substr(0, bytes.find('\0'));
}

Error BadNumber(const char* why) {
  return Error(Code::kInvalidArgument,
               std::string("tar header has a number ") + why);
}

// The first byte is 0x80 (positive) or 0xff (negative); the rest is big-endian.
Error ParseBase256(std::string_view field, int64_t* value) {
  const bool negative = (static_cast<unsigned char>(field[0]) & 0x40) != 0;
  const unsigned char flip = negative ? 0xff : 0x00;
  uint64_t magnitude = 0;  // of the number, or of its complement
  for (size_t i = 0; i < field.size(); ++i) {
    unsigned char byte = static_cast<unsigned char>(field[i]) ^ flip;
    if (i == 0) {
      byte &= 0x7f;
    }
    if (magnitude >> 55 != 0) {
      return BadNumber("that does not fit into 63 bits");
    }
    magnitude = magnitude << 8 | byte;
  }
  *value = negative ? -1 - static_cast<int64_t>(magnitude)
                    : static_cast<int64_t>(magnitude);
  return {};
}

Error CheckChecksum(std::string_view block) {
  // Some old writers summed signed chars.
  int64_t unsigned_sum = 0;
  int64_t signed_sum = 0;
  for (size_t i = 0; i < kTarBlockBytes; ++i) {
    const bool own =
        i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    const char c = own ? ' ' : block[i];
    unsigned_sum += static_cast<unsigned char>(c);
    signed_sum += static_cast<signed char>(c);
  }
  int64_t stored = 0;
  if (!ParseTarNumber(Bytes(block, kChecksum), &stored).ok() ||
      (stored != unsigned_sum && stored != signed_sum)) {
    return Error(Code::kInvalidArgument,
                 "tar header has a wrong checksum: this is no tar archive, or "
                 "it is damaged");
  }
  return {};
}

}  // namespace

Error ParseTarNumber(std::string_view field, int64_t* value) {
  if (!field.empty() && (static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    return ParseBase256(field, value);
  }
  constexpr std::string_view kBlank(" \0", 2);
  const size_t begin = field.find_first_not_of(kBlank);
  *value = 0;
  if (begin == field.npos) {
    return {};  // empty is 0, as every reader has it
  }
  const size_t end = field.find_first_of(kBlank, begin);
  // Twelve digits at most, so this does not overflow.
  for (const char c : field.substr(begin, end - begin)) {
    if (c < '0' || c > '7') {
      return BadNumber("that is not octal");
    }
    *value = *value * 8 + (c - '0');
  }
  return {};
}

Error ParseTarNumber(std::string_view field, uint64_t* value) {
  int64_t number = 0;
  QUOLL_RETURN_IF_ERROR(ParseTarNumber(field, &number));
  if (number < 0) {
    return BadNumber("below zero");
  }
  *value = static_cast<uint64_t>(number);
  return {};
}

bool IsZeroBlock(std::string_view block) {
  return block.find_first_not_of('\0') == block.npos;
}

Error ParseTarHeader(std::string_view block, TarHeader* header) {
  QUOLL_RETURN_IF_ERROR(CheckChecksum(block));
  *header = TarHeader();
  header->type = block[kType];
  header->name = Text(block, kName);
  header->link_name = Text(block, kLinkName);
  QUOLL_RETURN_IF_ERROR(ParseTarNumber(Bytes(block, kMode), &header->mode));
  QUOLL_RETURN_IF_ERROR(ParseTarNumber(Bytes(block, kUid), &header->uid));
  QUOLL_RETURN_IF_ERROR(ParseTarNumber(Bytes(block, kGid), &header->gid));
  QUOLL_RETURN_IF_ERROR(ParseTarNumber(Bytes(block, kSize), &header->size));
  QUOLL_RETURN_IF_ERROR(ParseTarNumber(Bytes(block, kMtime), &header->mtime));
  const std::string_view magic = Bytes(block, kMagic);
  if (magic.substr(0, 5) != "ustar") {
    return {};  // v7: nothing more
  }
  if (header->type == '3' || header->type == '4') {
    QUOLL_RETURN_IF_ERROR(
        ParseTarNumber(Bytes(block, kDeviceMajor), &header->device_major));
    QUOLL_RETURN_IF_ERROR(
        ParseTarNumber(Bytes(block, kDeviceMinor), &header->device_minor));
  }
  // GNU ("ustar " and a blank) keeps other things where the prefix would be.
  if (magic == std::string_view("ustar\0", 6)) {
    const bool star = Bytes(block, kStarMagic) == std::string_view("tar\0", 4);
    const std::string_view prefix = Text(block, star ? kStarPrefix : kPrefix);
    if (!prefix.empty()) {
      header->name = std::string(prefix) + "/" + header->name;
    }
  }
  return {};
}

}  // namespace quoll::unpack
