// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/tar_reader.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/tar_builder.h"

namespace quoll::unpack {
namespace {

using ::quoll::testing::TarBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class StringSource : public ByteSource {
 public:
  StringSource(std::string text, size_t step)
      : text_(std::move(text)), step_(step) {}
  Error Next(size_t max, std::string_view* chunk) override {
    *chunk = std::string_view(text_).substr(at_, std::min(max, step_));
    at_ += chunk->size();
    return {};
  }

 private:
  const std::string text_;
  const size_t step_;
  size_t at_ = 0;
};

struct Read {
  TarEntry entry;
  std::string content;  // with zeros for holes
};

Error ReadAll(const std::string& archive, std::vector<Read>* all,
              size_t step = 1 << 20) {
  StringSource source(archive, step);
  TarReader reader(source);
  while (true) {
    Read read;
    bool more = false;
    QUOLL_RETURN_IF_ERROR(reader.Next(&read.entry, &more));
    if (!more) {
      return {};
    }
    if (read.entry.size_bytes < 100 << 20) {
      read.content.resize(read.entry.size_bytes);
    }
    while (true) {
      uint64_t offset = 0;
      std::string_view chunk;
      QUOLL_RETURN_IF_ERROR(reader.ReadData(&offset, &chunk));
      if (chunk.empty()) {
        break;
      }
      read.content.replace(offset, chunk.size(), chunk);
    }
    all->push_back(std::move(read));
  }
}

std::vector<Read> MustRead(const std::string& archive, size_t step = 1 << 20) {
  std::vector<Read> all;
  const Error error = ReadAll(archive, &all, step);
  EXPECT_TRUE(error.ok()) << error.message();
  return all;
}

std::string ErrorOf(const std::string& archive) {
  std::vector<Read> all;
  const Error error = ReadAll(archive, &all);
  EXPECT_EQ(error.code(), Code::kInvalidArgument) << error.message();
  return error.message();
}

TEST(TarReaderTest, ReadsFilesInPiecesOfAnySize) {
  const std::string big(100'000, 'x');
  const std::string archive =
      TarBuilder().Directory("d").File("d/a", "hello").File("b", big).Finish();
  for (const size_t step : {1u, 7u, 511u, 512u, 513u, 100'000u}) {
    const std::vector<Read> all = MustRead(archive, step);
    ASSERT_EQ(all.size(), 3u) << step;
    EXPECT_EQ(all[0].entry.type, TarEntry::Type::kDirectory);
    EXPECT_EQ(all[1].entry.name, "d/a");
    EXPECT_EQ(all[1].content, "hello");
    EXPECT_EQ(all[2].content, big);
  }
}

TEST(TarReaderTest, SkipsDataThatIsNotRead) {
  StringSource source(
      TarBuilder().File("a", std::string(2000, 'a')).File("b", "b").Finish(),
      100);
  TarReader reader(source);
  TarEntry entry;
  bool more = false;
  ASSERT_TRUE(reader.Next(&entry, &more).ok());
  ASSERT_TRUE(reader.Next(&entry, &more).ok());
  EXPECT_EQ(entry.name, "b");
}

TEST(TarReaderTest, AcceptsAnArchiveWithoutEndMarker) {
  EXPECT_EQ(MustRead(TarBuilder().File("a", "x").bytes()).size(), 1u);
  EXPECT_EQ(MustRead("").size(), 0u);
}

TEST(TarReaderTest, PaxOverridesEverything) {
  const std::string name = "long/" + std::string(300, 'n');
  TarBuilder::Member member;
  member.name = "short";
  member.content = "12345";
  member.claimed_size = 0;
  const std::vector<Read> all =
      MustRead(TarBuilder()
                   .Pax({{"path", name},
                         {"size", "5"},
                         {"uid", "3000000000"},
                         {"gid", "7"},
                         {"mtime", "-1.25"},
                         {"comment", "ignored"},
                         {"SCHILY.xattr.user.k", std::string("a\0\n=b", 5)}})
                   .Add(member)
                   .File("next", "")
                   .Finish());
  ASSERT_EQ(all.size(), 2u);
  const TarEntry& entry = all[0].entry;
  EXPECT_EQ(entry.name, name);
  EXPECT_EQ(all[0].content, "12345");
  EXPECT_EQ(entry.uid, 3'000'000'000u);
  EXPECT_EQ(entry.gid, 7u);
  EXPECT_EQ(entry.mtime_seconds, -2);
  EXPECT_EQ(entry.mtime_nanoseconds, 750'000'000);
  EXPECT_THAT(entry.xattrs,
              ElementsAre(Pair("user.k", std::string("a\0\n=b", 5))));
  EXPECT_EQ(all[1].entry.name, "next");
  EXPECT_TRUE(all[1].entry.xattrs.empty());
}

TEST(TarReaderTest, GlobalHeaderGivesDefaultsAndMayBeLast) {
  const std::vector<Read> all = MustRead(TarBuilder()
                                             .Pax({{"uid", "5"}}, 'g')
                                             .File("a", "")
                                             .Pax({{"uid", "6"}})
                                             .File("b", "")
                                             .Pax({{"comment", "end"}}, 'g')
                                             .Finish());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].entry.uid, 5u);
  EXPECT_EQ(all[1].entry.uid, 6u);
}

TEST(TarReaderTest, GnuLongNames) {
  const std::string name(4095, 'n');
  const std::string link(2000, 'l');
  const std::vector<Read> all = MustRead(TarBuilder()
                                             .GnuLong('K', link)
                                             .GnuLong('L', name)
                                             .Symlink("x", "y")
                                             .Finish());
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].entry.name, name);
  EXPECT_EQ(all[0].entry.link_name, link);
  EXPECT_THAT(
      ErrorOf(TarBuilder().GnuLong('L', name + "n").File("x", "").Finish()),
      HasSubstr("more than 4095"));
}

TEST(TarReaderTest, Dialects) {
  TarBuilder::Member ustar;
  ustar.name = "name";
  ustar.prefix = "prefix";
  TarBuilder::Member gnu = ustar;  // has times where the prefix would be
  gnu.magic = std::string("ustar  \0", 8);
  TarBuilder::Member v7;
  v7.name = "dir/";
  v7.type = '\0';
  v7.magic = "";
  const std::vector<Read> all =
      MustRead(TarBuilder().Add(ustar).Add(gnu).Add(v7).Finish());
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].entry.name, "prefix/name");
  EXPECT_EQ(all[1].entry.name, "name");
  EXPECT_EQ(all[2].entry.type, TarEntry::Type::kDirectory);
}

TEST(TarReaderTest, Numbers) {
  uint64_t number = 0;
  int64_t number_or_less = 0;
  EXPECT_TRUE(ParseTarNumber(" 0644 \0", &number).ok());
  EXPECT_EQ(number, 0644u);
  EXPECT_TRUE(ParseTarNumber("", &number).ok());
  EXPECT_EQ(number, 0u);
  EXPECT_TRUE(
      ParseTarNumber(std::string_view("\x80\0\0\0\0\0\1\2", 8), &number).ok());
  EXPECT_EQ(number, 258u);
  EXPECT_TRUE(
      ParseTarNumber("\xff\xff\xff\xff\xff\xff\xff\xfe", &number_or_less).ok());
  EXPECT_EQ(number_or_less, -2);
  EXPECT_FALSE(
      ParseTarNumber("\xff\xff\xff\xff\xff\xff\xff\xfe", &number).ok());
  EXPECT_FALSE(ParseTarNumber("0689", &number).ok());
  EXPECT_FALSE(
      ParseTarNumber("\x80\x01\x01\x01\x01\x01\x01\x01\x01\x01", &number).ok());
}

TEST(TarReaderTest, HeaderOnlyTypesHaveNoData) {
  TarBuilder::Member link;
  link.name = "l";
  link.type = '1';
  link.link = "a";
  link.claimed_size = 5000;
  EXPECT_EQ(MustRead(TarBuilder().File("a", "x").Add(link).Finish()).size(),
            2u);
}

TEST(TarReaderTest, SparsePaxVersions) {
  const std::string real =
      std::string(1000, '\0') + "abc" + std::string(4093, '\0') + "z";
  const auto member = [](const std::string& data) {
    TarBuilder::Member sparse;
    sparse.name = "GNUSparseFile.0/f";
    sparse.content = data;
    return sparse;
  };
  const std::string size = std::to_string(real.size());
  const std::vector<Read> all = MustRead(
      TarBuilder()
          .Pax({{"GNU.sparse.size", size},
                {"GNU.sparse.numblocks", "2"},
                {"GNU.sparse.offset", "1000"},
                {"GNU.sparse.numbytes", "3"},
                {"GNU.sparse.offset", "5096"},
                {"GNU.sparse.numbytes", "1"}})
          .Add(member("abcz"))
          .Pax({{"GNU.sparse.size", size},
                {"GNU.sparse.name", "f1"},
                {"GNU.sparse.map", "1000,3,5096,1"}})
          .Add(member("abcz"))
          .Pax({{"GNU.sparse.major", "1"},
                {"GNU.sparse.minor", "0"},
                {"GNU.sparse.name", "f2"},
                {"GNU.sparse.realsize", size}})
          .Add(member(TarBuilder::Padded("2\n1000\n3\n5096\n1\n") + "abcz"))
          .File("next", "n")
          .Finish(),
      77);
  ASSERT_EQ(all.size(), 4u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(all[i].content, real) << i;
  }
  EXPECT_EQ(all[1].entry.name, "f1");
  EXPECT_EQ(all[2].entry.name, "f2");
  EXPECT_EQ(all[3].content, "n");
}

std::string OldGnuSparse(const std::string& second_offset) {
  TarBuilder::Member sparse;
  sparse.name = "s";
  sparse.type = 'S';
  sparse.magic = std::string("ustar  \0", 8);
  sparse.content = "abcz";
  std::string header = TarBuilder::Header(sparse);
  TarBuilder::Put(&header, 386, 12, "00000000010");
  TarBuilder::Put(&header, 398, 12, "00000000003");
  header[482] = 1;
  TarBuilder::Put(&header, 483, 12, "00000000040");
  std::string more(512, '\0');
  TarBuilder::Put(&more, 0, 12, second_offset);
  TarBuilder::Put(&more, 12, 12, "00000000001");
  return TarBuilder()
      .Raw(TarBuilder::WithChecksum(header))
      .Raw(more)
      .Raw(TarBuilder::Padded("abcz"))
      .File("next", "")
      .Finish();
}

TEST(TarReaderTest, SparseOldGnu) {
  const std::vector<Read> all = MustRead(OldGnuSparse("00000000037"));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].content,
            std::string(8, '\0') + "abc" + std::string(20, '\0') + "z");
  EXPECT_THAT(ErrorOf(OldGnuSparse("00000000011")), HasSubstr("out of order"));
  EXPECT_THAT(ErrorOf(OldGnuSparse("00000000040")), HasSubstr("out of order"));
}

TEST(TarReaderTest, HostileSparseMaps) {
  const auto with_map = [](const std::string& map, const std::string& size) {
    return TarBuilder()
        .Pax({{"GNU.sparse.size", size}, {"GNU.sparse.map", map}})
        .File("f", "abcd")
        .Finish();
  };
  EXPECT_THAT(ErrorOf(with_map("0,4,2,1", "100")), HasSubstr("out of order"));
  EXPECT_THAT(ErrorOf(with_map("0,3", "100")), HasSubstr("does not match"));
  EXPECT_THAT(ErrorOf(with_map("0,5", "100")), HasSubstr("does not match"));
  EXPECT_THAT(ErrorOf(with_map("0,4,7", "100")), HasSubstr("without a size"));
  EXPECT_THAT(ErrorOf(with_map("9223372036854775807,4", "100")),
              HasSubstr("too large"));
  EXPECT_THAT(ErrorOf(with_map("9223372036854775000,4", "100")),
              HasSubstr("out of order"));
  const auto pax1 = [](const std::string& data) {
    return TarBuilder()
        .Pax({{"GNU.sparse.major", "1"},
              {"GNU.sparse.minor", "0"},
              {"GNU.sparse.realsize", "100"}})
        .File("f", data)
        .Finish();
  };
  EXPECT_THAT(ErrorOf(pax1("1\n0\n4\nabcd")), HasSubstr("longer than"));
  EXPECT_THAT(ErrorOf(pax1(std::string(512, '1'))), HasSubstr("no end of"));
  EXPECT_THAT(ErrorOf(pax1(TarBuilder::Padded("99999999999\n"))),
              HasSubstr("too large"));
  EXPECT_THAT(
      ErrorOf(
          TarBuilder().Pax({{"GNU.sparse.major", "2"}}).File("f", "").Finish()),
      HasSubstr("unknown version"));
}

TEST(TarReaderTest, HostileHeaders) {
  EXPECT_THAT(ErrorOf(std::string(512, 'x')), HasSubstr("checksum"));
  EXPECT_THAT(ErrorOf("short"), HasSubstr("middle of a header"));
  EXPECT_THAT(
      ErrorOf(std::string(512, '\0') + TarBuilder().File("a", "").Finish()),
      HasSubstr("block of zeros"));
  EXPECT_THAT(ErrorOf(TarBuilder().Pax({{"uid", "1"}}).Finish()),
              HasSubstr("ends after an extended header"));
  TarBuilder::Member member;
  member.name = "bad\n\x1b[31mname";
  member.type = 'M';
  const std::string error = ErrorOf(TarBuilder().Add(member).Finish());
  EXPECT_THAT(error, HasSubstr("unknown type"));
  EXPECT_EQ(error.find('\n'), error.npos);
  EXPECT_EQ(error.find('\x1b'), error.npos);
  member.type = '0';
  member.claimed_size = 10'000;
  EXPECT_THAT(ErrorOf(TarBuilder().Add(member).Finish()),
              HasSubstr("middle of a member"));
  member.claimed_size = 077777777777;
  EXPECT_THAT(ErrorOf(TarBuilder().Add(member).Finish()),
              HasSubstr("middle of a member"));
}

TEST(TarReaderTest, HostilePax) {
  const auto raw = [](const std::string& text) {
    TarBuilder::Member member;
    member.type = 'x';
    member.content = text;
    return TarBuilder().Add(member).File("f", "").Finish();
  };
  for (const char* text :
       {"x", "5", "99 path=a\n", "0 path=a\n", "10 path=abc", "6 path\n",
        "5 =a\n", "-8 uid=1\n", "99999999999999999999 a=b\n", "11 uid=12x\n",
        "12 mtime=a\n", "15 mtime=1.2.3\n", "9 uid=-1\n", "4 a\n",
        "23 GNU.sparse.numbytes=1\n", "17 SCHILY.xattr.=\n"}) {
    std::vector<Read> all;
    const Error error = ReadAll(raw(text), &all);
    EXPECT_EQ(error.code(), Code::kInvalidArgument) << text;
  }
  EXPECT_THAT(
      ErrorOf(raw(TarBuilder::PaxRecord("path", std::string("a\0b", 3)))),
      HasSubstr("NUL"));
  EXPECT_THAT(ErrorOf(TarBuilder().Pax({{"path", "x"}}, 'g').Finish()),
              HasSubstr("global header"));
}

TEST(TarReaderTest, BoundsExtendedHeaders) {
  TarBuilder::Member member;
  member.type = 'x';
  member.claimed_size = 1 << 21;
  EXPECT_THAT(ErrorOf(TarBuilder().Add(member).Finish()),
              HasSubstr("larger than 1 MiB"));
  // Many small ones in front of one member, with global ones between them.
  TarBuilder many;
  for (int i = 0; i < 40; ++i) {
    many.Pax({{"SCHILY.xattr.user.k" + std::to_string(i),
               std::string(60'000, 'v')}});
    many.Pax({{"comment", "x"}}, 'g');
  }
  EXPECT_THAT(ErrorOf(many.File("f", "").Finish()),
              HasSubstr("larger than 1 MiB"));
  TarBuilder global;
  for (int i = 0; i < 40; ++i) {
    global.Pax(
        {{"SCHILY.xattr.user.k" + std::to_string(i), std::string(60'000, 'v')}},
        'g');
  }
  EXPECT_THAT(ErrorOf(global.File("f", "").Finish()),
              HasSubstr("larger than 1 MiB"));
}

// Every prefix and every flipped byte of an archive that has everything in it:
// an error or not, but no crash and no endless loop.
TEST(TarReaderTest, SurvivesDamage) {
  TarBuilder::Member pax1;
  pax1.name = "p";
  pax1.content = TarBuilder::Padded("1\n0\n4\n") + "abcd";
  const std::string archive =
      TarBuilder()
          .Directory("d")
          .File("d/f", std::string(700, 'f'))
          .Pax({{"path", "e"}, {"SCHILY.xattr.user.a", "b"}})
          .File("x", "content")
          .GnuLong('L', std::string(200, 'n'))
          .Symlink("s", "t")
          .Pax({{"GNU.sparse.major", "1"},
                {"GNU.sparse.minor", "0"},
                {"GNU.sparse.realsize", "100"}})
          .Add(pax1)
          .Raw(OldGnuSparse("00000000037"))
          .Finish();
  for (size_t i = 0; i < archive.size(); ++i) {
    std::vector<Read> all;
    const Error prefix = ReadAll(archive.substr(0, i), &all);
    std::string flipped = archive;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x55);
    all.clear();
    const Error changed = ReadAll(flipped, &all);
    EXPECT_LE(all.size(), 20u) << prefix.message() << changed.message();
  }
}

}  // namespace
}  // namespace quoll::unpack
