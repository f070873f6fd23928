// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/pax.h"

#include <limits>
#include <utility>

namespace quoll::unpack {
namespace {

constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";

Error Malformed(const std::string& why) {
  return Error(Code::kInvalidArgument, "pax header: " + why);
}

Error SetText(std::string_view value, std::optional<std::string>* field) {
  if (value.find('\0') != value.npos) {
    return Malformed("a name with a NUL byte in it");
  }
  field->reset();
  if (!value.empty()) {
    *field = std::string(value);
  }
  return {};
}

Error SetNumber(std::string_view value, std::optional<uint64_t>* field) {
  field->reset();
  if (value.empty()) {
    return {};
  }
  return ParseDecimal(value, &field->emplace());
}

// Seconds since 1970, maybe negative, with any number of decimals.
Error SetTime(std::string_view value, std::optional<PaxRecords::Time>* field) {
  field->reset();
  if (value.empty()) {
    return {};
  }
  const bool negative = value[0] == '-';
  const size_t dot = value.find('.');
  uint64_t seconds = 0;
  QUOLL_RETURN_IF_ERROR(
      ParseDecimal(value.substr(negative, dot - negative), &seconds));
  int64_t nanoseconds = 0;
  if (dot != value.npos) {
    // What lies below a nanosecond is cut off.
    std::string decimals(value.substr(dot + 1, 9));
    decimals.resize(9, '0');
    uint64_t number = 0;
    QUOLL_RETURN_IF_ERROR(ParseDecimal(decimals, &number));
    nanoseconds = static_cast<int64_t>(number);
  }
  PaxRecords::Time time = {static_cast<int64_t>(seconds), nanoseconds};
  if (negative) {
    time.seconds = -time.seconds - (nanoseconds != 0 ? 1 : 0);
    time.nanoseconds = nanoseconds != 0 ? 1'000'000'000 - nanoseconds : 0;
  }
  *field = time;
  return {};
}

// GNU.sparse.map of version 0.1: "offset,size,offset,size,...".
Error SetSparseMap(std::string_view value, PaxRecords* records) {
  records->sparse_map.clear();
  records->has_sparse_map = true;
  std::optional<uint64_t> offset;
  while (!value.empty()) {
    const size_t comma = value.find(',');
    uint64_t number = 0;
    QUOLL_RETURN_IF_ERROR(ParseDecimal(value.substr(0, comma), &number));
    value.remove_prefix(comma == value.npos ? value.size() : comma + 1);
    if (!offset) {
      offset = number;
    } else {
      records->sparse_map.push_back({*offset, number});
      offset.reset();
    }
  }
  return offset ? Malformed("GNU.sparse.map has an offset without a size")
                : Error();
}

Error SetSparse(std::string_view key, std::string_view value,
                PaxRecords* records) {
  if (key == "name") {
    return SetText(value, &records->sparse_name);
  }
  if (key == "size" || key == "realsize") {
    return SetNumber(value, &records->sparse_real_size);
  }
  if (key == "major") {
    return SetNumber(value, &records->sparse_major);
  }
  if (key == "minor") {
    return SetNumber(value, &records->sparse_minor);
  }
  if (key == "map") {
    return SetSparseMap(value, records);
  }
  // Version 0.0: pairs of records, in order.
  if (key == "offset") {
    records->has_sparse_map = true;
    return ParseDecimal(value, &records->sparse_map.emplace_back().offset);
  }
  if (key == "numbytes") {
    if (records->sparse_map.empty()) {
      return Malformed("GNU.sparse.numbytes comes before an offset");
    }
    return ParseDecimal(value, &records->sparse_map.back().size);
  }
  return {};  // numblocks: counted by itself
}

Error SetRecord(std::string_view key, std::string_view value,
                PaxRecords* records) {
  constexpr std::string_view kSparsePrefix = "GNU.sparse.";
  if (key == "path") {
    return SetText(value, &records->path);
  }
  if (key == "linkpath") {
    return SetText(value, &records->link_path);
  }
  if (key == "size") {
    return SetNumber(value, &records->size);
  }
  if (key == "uid") {
    return SetNumber(value, &records->uid);
  }
  if (key == "gid") {
    return SetNumber(value, &records->gid);
  }
  if (key == "mtime") {
    return SetTime(value, &records->mtime);
  }
  if (key.substr(0, kSparsePrefix.size()) == kSparsePrefix) {
    return SetSparse(key.substr(kSparsePrefix.size()), value, records);
  }
  if (key.substr(0, kXattrPrefix.size()) == kXattrPrefix) {
    const std::string_view name = key.substr(kXattrPrefix.size());
    if (name.empty() || name.find('\0') != name.npos) {
      return Malformed("an extended attribute with the name " + Quoted(name));
    }
    // Here an empty value is a value.
    records->xattrs[std::string(name)] = std::string(value);
  }
  return {};
}

}  // namespace

Error ParseDecimal(std::string_view text, uint64_t* value) {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  *value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || *value > (kMax - 9) / 10) {
      return Malformed(Quoted(text) + " is no number, or too large");
    }
    *value = *value * 10 + static_cast<uint64_t>(c - '0');
  }
  return text.empty() ? Malformed("a number is missing") : Error();
}

Error ParsePax(std::string_view text, PaxRecords* records) {
  while (!text.empty()) {
    const size_t blank = text.find(' ');
    uint64_t length = 0;
    if (blank == text.npos || blank > 10) {
      return Malformed("a record without a length");
    }
    QUOLL_RETURN_IF_ERROR(ParseDecimal(text.substr(0, blank), &length));
    if (length > text.size() || length < blank + 2 ||
        text[length - 1] != '\n') {
      return Malformed("a record of a wrong length");
    }
    const std::string_view record = text.substr(blank + 1, length - blank - 2);
    const size_t equals = record.find('=');
    if (equals == record.npos || equals == 0) {
      return Malformed("a record without a key");
    }
    QUOLL_RETURN_IF_ERROR(SetRecord(record.substr(0, equals),
                                    record.substr(equals + 1), records));
    text.remove_prefix(length);
  }
  return {};
}

}  // namespace quoll::unpack
