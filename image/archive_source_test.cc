// SPDX-License-Identifier: Apache-2.0
#include "image/archive_source.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "image/digest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::image {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct File {
  std::string name;
  std::string content;
  std::string link;  // with a symlink
};

// Writes a tar, gzip-compressed or not.
void WriteTar(const std::string& path, const std::vector<File>& files,
              bool gzip = false) {
  archive* a = archive_write_new();
  if (gzip) {
    archive_write_add_filter_gzip(a);
  }
  archive_write_set_format_pax_restricted(a);
  ASSERT_EQ(archive_write_open_filename(a, path.c_str()), ARCHIVE_OK);
  for (const File& file : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, file.name.c_str());
    archive_entry_set_perm(entry, 0644);
    if (file.link.empty()) {
      archive_entry_set_filetype(entry, AE_IFREG);
      archive_entry_set_size(entry,
                             static_cast<la_int64_t>(file.content.size()));
    } else {
      archive_entry_set_filetype(entry, AE_IFLNK);
      archive_entry_set_symlink(entry, file.link.c_str());
    }
    ASSERT_EQ(archive_write_header(a, entry), ARCHIVE_OK);
    archive_write_data(a, file.content.data(), file.content.size());
    archive_entry_free(entry);
  }
  ASSERT_EQ(archive_write_free(a), ARCHIVE_OK);
}

std::string Hex(const std::string& digest) {
  return digest.substr(digest.find(':') + 1);
}

std::string Config(const std::vector<std::string>& layers) {
  std::string ids;
  for (const std::string& layer : layers) {
    absl::StrAppend(&ids, ids.empty() ? "" : ",", "\"", DigestOf(layer), "\"");
  }
  return absl::StrCat(
      R"({"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[)", ids,
      "]}}");
}

absl::StatusOr<std::string> Fetch(ImageSource& source, const Descriptor& blob) {
  std::string got;
  const absl::Status status = source.FetchBlob(blob, 0,
                                               [&](absl::string_view chunk) {
                                                 absl::StrAppend(&got, chunk);
                                                 return absl::OkStatus();
                                               },
                                               {});
  if (!status.ok()) {
    return status;
  }
  return got;
}

absl::StatusOr<ImageManifest> FetchImage(ArchiveSource& source, size_t i) {
  const auto raw = source.FetchManifest(source.images()[i].manifest_digest, {});
  if (!raw.ok()) {
    return raw.status();
  }
  EXPECT_EQ(DigestOf(raw->content), source.images()[i].manifest_digest);
  const auto document = ParseManifestDocument(raw->content, "");
  if (!document.ok()) {
    return document.status();
  }
  return std::get<ImageManifest>(*document);
}

class DockerArchiveTest : public ::testing::Test {
 protected:
  // Two layers, the second one being a link to the first, as old docker save
  // writes equal layers.
  std::vector<File> Good() const {
    return {{"1/layer.tar", layer_, ""},
            {"./2/layer.tar", "", "../1/layer.tar"},
            {"c.json", Config({layer_, layer_}), ""},
            {"manifest.json",
             R"([{"Config":"c.json","RepoTags":["app:v1"],)"
             R"("Layers":["1/layer.tar","2/layer.tar"]}])",
             ""}};
  }
  absl::StatusOr<std::unique_ptr<ArchiveSource>> OpenTar(
      const std::vector<File>& files, bool gzip = false) {
    WriteTar(dir_ / "a.tar", files, gzip);
    return ArchiveSource::Open(dir_ / "a.tar", {});
  }

  TempDir dir_;
  const std::string layer_ = std::string(3 << 20, 'L');
};

TEST_F(DockerArchiveTest, IsGivenAManifest) {
  for (const bool gzip : {false, true}) {
    const auto source = OpenTar(Good(), gzip);
    ASSERT_THAT(source, IsOk());
    ASSERT_EQ((*source)->images().size(), 1u);
    const ArchivedImage& image = (*source)->images()[0];
    EXPECT_THAT(image.names, ElementsAre("app:v1"));
    EXPECT_FALSE(image.original_manifest);
    const auto manifest = FetchImage(**source, 0);
    ASSERT_THAT(manifest, IsOk());
    ASSERT_EQ(manifest->layers.size(), 2u);
    for (const Descriptor& layer : manifest->layers) {
      EXPECT_EQ(layer.digest, DigestOf(layer_));
      const auto bytes = Fetch(**source, layer);
      ASSERT_THAT(bytes, IsOk());
      EXPECT_TRUE(*bytes == layer_);
    }
    const auto config = Fetch(**source, manifest->config);
    ASSERT_THAT(config, IsOk());
    EXPECT_EQ(*config, Config({layer_, layer_}));
  }
}

TEST_F(DockerArchiveTest, HashesCompressedLayers) {
  const std::string compressed = "\x1f\x8b not really gzip";
  const auto source =
      OpenTar({{"l", compressed, ""},
               {"c", Config({layer_}), ""},
               {"manifest.json", R"([{"Config":"c","Layers":["l"]}])", ""}});
  ASSERT_THAT(source, IsOk());
  const auto manifest = FetchImage(**source, 0);
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(manifest->layers[0].digest, DigestOf(compressed));
  EXPECT_THAT(manifest->layers[0].media_type, HasSubstr("gzip"));
  EXPECT_TRUE((*source)->images()[0].names.empty());
}

TEST_F(DockerArchiveTest, ReadsFromAnOffset) {
  const auto source = OpenTar(Good());
  ASSERT_THAT(source, IsOk());
  std::string got;
  EXPECT_THAT((*source)->FetchBlob({"", DigestOf(layer_), 0}, (3 << 20) - 2,
                                   [&](absl::string_view chunk) {
                                     absl::StrAppend(&got, chunk);
                                     return absl::OkStatus();
                                   },
                                   {}),
              IsOk());
  EXPECT_EQ(got, "LL");
}

TEST_F(DockerArchiveTest, LinksThatLeadOutAreNotThere) {
  std::vector<File> files = Good();
  files[1].link = "../../../../etc/passwd";
  EXPECT_THAT(OpenTar(files), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(DockerArchiveTest, LinksInCirclesEnd) {
  std::vector<File> files = Good();
  files[0] = {"1/layer.tar", "", "../2/layer.tar"};
  EXPECT_THAT(OpenTar(files), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(DockerArchiveTest, BrokenOnesAreRefused) {
  for (const std::string& manifest :
       {std::string("[{}]"), std::string("{}"), std::string("[1]"),
        std::string(R"([{"Config":5}])"), std::string("nonsense"),
        std::string(R"([{"Config":"c.json","Layers":["1/layer.tar"]}])"),
        std::string(R"([{"Config":"c.json","Layers":"x"}])"),
        std::string(R"([{"Config":"c.json","Layers":[1,2]}])")}) {
    std::vector<File> files = Good();
    files[3].content = manifest;
    EXPECT_THAT(OpenTar(files), StatusIs(absl::StatusCode::kDataLoss))
        << manifest;
  }
  std::vector<File> files = Good();
  files[3].content = "[]";
  EXPECT_THAT(OpenTar(files), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(DockerArchiveTest, BigDocumentsAreRefused) {
  std::vector<File> files = Good();
  files[3].content = std::string((4 << 20) + 1, ' ');
  EXPECT_THAT(OpenTar(files), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(DockerArchiveTest, OtherFilesAreRefused) {
  EXPECT_THAT(OpenTar({{"readme", "hi", ""}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  std::ofstream(dir_ / "text") << "not a tar at all, but long enough to try";
  EXPECT_THAT(ArchiveSource::Open(dir_ / "text", {}),
              StatusIs(absl::StatusCode::kDataLoss));
  ASSERT_EQ(mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(ArchiveSource::Open(dir_ / "fifo", {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ArchiveSource::Open(dir_ / "missing", {}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(DockerArchiveTest, TheDeadlineHolds) {
  WriteTar(dir_ / "a.tar", Good());
  EXPECT_THAT(ArchiveSource::Open(dir_ / "a.tar",
                                  {.deadline = absl::Now(), .cancelled = {}}),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

class OciLayoutTest : public ::testing::Test {
 protected:
  void Put(const std::string& content) {
    files_.push_back(
        {absl::StrCat("blobs/sha256/", Hex(DigestOf(content))), content, ""});
  }
  void MakeImage(const std::string& annotations) {
    const std::string config = Config({"layer"});
    const std::string manifest = absl::StrCat(
        R"({"schemaVersion":2,"config":{"mediaType":"c","digest":")",
        DigestOf(config), R"(","size":)", config.size(),
        R"(},"layers":[{"mediaType":"l","digest":")", DigestOf("layer"),
        R"(","size":5}]})");
    Put("layer");
    Put(config);
    Put(manifest);
    manifest_digest_ = DigestOf(manifest);
    files_.push_back(
        {"index.json",
         absl::StrCat(R"({"manifests":[{"mediaType":"m","digest":")",
                      manifest_digest_, R"(","size":)", manifest.size(),
                      R"(,"annotations":{)", annotations, "}}]}"),
         ""});
    files_.push_back({"oci-layout", R"({"imageLayoutVersion":"1.0.0"})", ""});
  }
  void WriteDirectory() {
    for (const File& file : files_) {
      const std::string path = dir_ / file.name;
      std::filesystem::create_directories(
          std::filesystem::path(path).parent_path());
      std::ofstream(path) << file.content;
    }
  }

  TempDir dir_;
  std::vector<File> files_;
  std::string manifest_digest_;
};

TEST_F(OciLayoutTest, IsReadFromADirectoryAndFromATar) {
  MakeImage(R"("org.opencontainers.image.ref.name":"h.io/app:v1")");
  WriteDirectory();
  const TempDir other;
  WriteTar(other / "a.tar", files_);
  for (const std::string& path : {dir_.path(), other / "a.tar"}) {
    const auto source = ArchiveSource::Open(path, {});
    ASSERT_THAT(source, IsOk()) << path;
    ASSERT_EQ((*source)->images().size(), 1u);
    EXPECT_EQ((*source)->images()[0].manifest_digest, manifest_digest_);
    EXPECT_TRUE((*source)->images()[0].original_manifest);
    EXPECT_THAT((*source)->images()[0].names, ElementsAre("h.io/app:v1"));
    const auto manifest = FetchImage(**source, 0);
    ASSERT_THAT(manifest, IsOk());
    const auto layer = Fetch(**source, manifest->layers[0]);
    ASSERT_THAT(layer, IsOk());
    EXPECT_EQ(*layer, "layer");
  }
}

TEST_F(OciLayoutTest, ABareTagIsNoName) {
  MakeImage(R"("org.opencontainers.image.ref.name":"latest")");
  WriteDirectory();
  const auto source = ArchiveSource::Open(dir_.path(), {});
  ASSERT_THAT(source, IsOk());
  EXPECT_TRUE((*source)->images()[0].names.empty());
}

TEST_F(OciLayoutTest, ContainerdsNameWins) {
  MakeImage(R"("org.opencontainers.image.ref.name":"latest",)"
            R"("io.containerd.image.name":"docker.io/library/app:latest")");
  WriteDirectory();
  const auto source = ArchiveSource::Open(dir_.path(), {});
  ASSERT_THAT(source, IsOk());
  EXPECT_THAT((*source)->images()[0].names,
              ElementsAre("docker.io/library/app:latest"));
}

TEST_F(OciLayoutTest, SymlinksAndFifosOfADirectoryLeadNowhere) {
  MakeImage("");
  WriteDirectory();
  const TempDir outside;
  std::ofstream(outside / "layer") << "layer";
  const std::string blob =
      dir_ / absl::StrCat("blobs/sha256/", Hex(DigestOf("layer")));
  std::filesystem::remove(blob);
  std::filesystem::create_symlink(outside / "layer", blob);
  const auto source = ArchiveSource::Open(dir_.path(), {});
  ASSERT_THAT(source, IsOk());
  const Descriptor layer{"", DigestOf("layer"), 5};
  EXPECT_THAT(Fetch(**source, layer), StatusIs(absl::StatusCode::kNotFound));
  std::filesystem::remove(blob);
  ASSERT_EQ(mkfifo(blob.c_str(), 0600), 0);
  EXPECT_THAT(Fetch(**source, layer),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(NormalArchivePathTest, StaysInside) {
  EXPECT_EQ(NormalArchivePath("./a//b/../c"), "a/c");
  EXPECT_EQ(NormalArchivePath("/a"), "a");
  EXPECT_EQ(NormalArchivePath("a/../../b"), "");
  EXPECT_EQ(NormalArchivePath(".."), "");
  EXPECT_EQ(NormalArchivePath(""), "");
}

}  // namespace
}  // namespace quoll::image
