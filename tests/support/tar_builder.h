// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace quoll::testing {

// Makes tar archives in memory, also ones that no tool would make.
//
//   TarBuilder().Directory("a").File("a/b", "text").Whiteout("a/c").Finish()
class TarBuilder {
 public:
  struct Member {
    std::string name;
    char type = '0';
    std::string content;
    uint32_t mode = 0644;
    uint64_t uid = 0;
    uint64_t gid = 0;
    int64_t mtime = 1'000'000'000;
    std::string link;
    uint32_t major = 0;
    uint32_t minor = 0;
    std::string magic = std::string(
        "ustar\0"
        "00",
        8);
    std::string prefix;
    int64_t claimed_size = -1;  // -1: of the content
  };

  TarBuilder& Add(const Member& member) {
    archive_ += Header(member);
    return Raw(Padded(member.content));
  }
  TarBuilder& File(const std::string& name, const std::string& content,
                   uint32_t mode = 0644) {
    Member member;
    member.name = name;
    member.content = content;
    member.mode = mode;
    return Add(member);
  }
  TarBuilder& Directory(const std::string& name, uint32_t mode = 0755) {
    Member member;
    member.name = name + "/";
    member.type = '5';
    member.mode = mode;
    return Add(member);
  }
  TarBuilder& Link(const std::string& name, const std::string& target,
                   char type) {
    Member member;
    member.name = name;
    member.type = type;
    member.link = target;
    member.mode = 0777;
    return Add(member);
  }
  TarBuilder& Symlink(const std::string& name, const std::string& target) {
    return Link(name, target, '2');
  }
  TarBuilder& HardLink(const std::string& name, const std::string& target) {
    return Link(name, target, '1');
  }
  // "a/b" hides the b of lower layers.
  TarBuilder& Whiteout(const std::string& path) {
    const size_t slash = path.rfind('/');
    const size_t base = slash == path.npos ? 0 : slash + 1;
    return File(path.substr(0, base) + ".wh." + path.substr(base), "");
  }
  TarBuilder& Opaque(const std::string& directory) {
    return File(directory + "/.wh..wh..opq", "");
  }
  // An extended header in front of the next member.
  TarBuilder& Pax(
      const std::vector<std::pair<std::string, std::string>>& records,
      char type = 'x') {
    Member member;
    member.name = "pax";
    member.type = type;
    for (const auto& [key, value] : records) {
      member.content += PaxRecord(key, value);
    }
    return Add(member);
  }
  // 'L' for the next member's name, 'K' for its link.
  TarBuilder& GnuLong(char type, const std::string& name) {
    Member member;
    member.name = "././@LongLink";
    member.type = type;
    member.content = name + std::string(1, '\0');
    return Add(member);
  }
  TarBuilder& Raw(const std::string& bytes) {
    archive_ += bytes;
    return *this;
  }

  const std::string& bytes() const { return archive_; }
  // With the two blocks that end an archive.
  std::string Finish() const { return archive_ + std::string(1024, '\0'); }

  static std::string PaxRecord(const std::string& key,
                               const std::string& value) {
    const std::string rest = " " + key + "=" + value + "\n";
    size_t length = rest.size() + 1;
    while (std::to_string(length).size() + rest.size() != length) {
      ++length;
    }
    return std::to_string(length) + rest;
  }

  static std::string Padded(const std::string& content) {
    return content + std::string((512 - content.size() % 512) % 512, '\0');
  }

  static std::string Header(const Member& member) {
    std::string block(512, '\0');
    Put(&block, 0, 100, member.name);
    Put(&block, 100, 8, Octal(member.mode, 7));
    Put(&block, 108, 8, Octal(member.uid, 7));
    Put(&block, 116, 8, Octal(member.gid, 7));
    Put(&block, 124, 12,
        Octal(member.claimed_size < 0
                  ? member.content.size()
                  : static_cast<uint64_t>(member.claimed_size),
              11));
    Put(&block, 136, 12, Octal(static_cast<uint64_t>(member.mtime), 11));
    block[156] = member.type;
    Put(&block, 157, 100, member.link);
    Put(&block, 257, 8, member.magic);
    Put(&block, 329, 8, Octal(member.major, 7));
    Put(&block, 337, 8, Octal(member.minor, 7));
    Put(&block, 345, 155, member.prefix);
    return WithChecksum(block);
  }

  // Recomputes the checksum of a header that was tampered with.
  static std::string WithChecksum(std::string block) {
    Put(&block, 148, 8, "        ");
    uint64_t sum = 0;
    for (const char c : block) {
      sum += static_cast<unsigned char>(c);
    }
    Put(&block, 148, 8, Octal(sum, 6) + std::string("\0 ", 2));
    return block;
  }

  static void Put(std::string* block, size_t offset, size_t room,
                  const std::string& text) {
    memcpy(block->data() + offset, text.data(), std::min(room, text.size()));
  }

 private:
  static std::string Octal(uint64_t number, int digits) {
    char text[32];
    snprintf(text, sizeof(text), "%0*llo", digits,
             static_cast<unsigned long long>(number));
    return text;
  }

  std::string archive_;
};

}  // namespace quoll::testing
