// SPDX-License-Identifier: Apache-2.0
#include "image/manifest.h"

#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace quoll::image {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kA = absl::StrCat("sha256:", std::string(64, 'a'));
const std::string kB = absl::StrCat("sha256:", std::string(64, 'b'));

std::string Blob(const std::string& type, const std::string& digest) {
  return absl::StrCat(R"({"mediaType":")", type, R"(","digest":")", digest,
                      R"(","size":5})");
}

std::string ManifestText(const std::string& layer_type) {
  return absl::StrCat(R"({"schemaVersion":2,"config":)", Blob("c", kA),
                      R"(,"layers":[)", Blob(layer_type, kB), "]}");
}

std::string Entry(const std::string& digest, const std::string& architecture,
                  const std::string& variant) {
  return absl::StrCat(
      R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")",
      digest, R"(","size":5,"platform":{"os":"linux","architecture":")",
      architecture, R"(","variant":")", variant, R"("}})");
}

TEST(ManifestTest, ReadsAManifest) {
  const auto document = ParseManifestDocument(ManifestText("l"), "");
  ASSERT_THAT(document, IsOk());
  const auto& manifest = std::get<ImageManifest>(*document);
  EXPECT_EQ(manifest.config.digest, kA);
  ASSERT_EQ(manifest.layers.size(), 1u);
  EXPECT_EQ(manifest.layers[0].size_bytes, 5);
}

TEST(ManifestTest, RefusesContentThatIsBothIndexAndManifest) {
  const std::string both =
      absl::StrCat(R"({"schemaVersion":2,"manifests":[],"layers":[],"config":)",
                   Blob("c", kA), "}");
  EXPECT_THAT(ParseManifestDocument(both, ""),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("neither")));
}

TEST(ManifestTest, RefusesATypeThatDeniesTheFields) {
  const std::string lie =
      R"({"mediaType":"application/vnd.oci.image.index.v1+json","layers":[]})";
  EXPECT_THAT(ParseManifestDocument(lie, ""),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(ManifestTest, RefusesSchema1WithASentence) {
  EXPECT_THAT(
      ParseManifestDocument(R"({"schemaVersion":1,"fsLayers":[]})", ""),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("schema 1")));
}

class BrokenManifestTest : public ::testing::TestWithParam<std::string> {};

TEST_P(BrokenManifestTest, IsDataLoss) {
  EXPECT_THAT(ParseManifestDocument(GetParam(), ""),
              StatusIs(absl::StatusCode::kDataLoss));
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenManifestTest,
    ::testing::Values(
        "", "{", "[]", "null", "\"text\"", "{}", "{\"layers\":[]}",
        std::string(100, '['), std::string(1 << 20, '['),
        std::string(5 << 20, ' '), "{\"layers\":{},\"config\":{}}",
        "{\"layers\":[1],\"config\":{}}", "{\"manifests\":5}",
        "{\"manifests\":[null]}", "\xff\xfe",
        R"({"layers":[],"config":{"digest":"sha256:../../x","size":1}})",
        absl::StrCat(R"({"layers":[],"config":{"digest":")", kA,
                     R"(","size":-1}})"),
        absl::StrCat(R"({"layers":[],"config":{"digest":")", kA,
                     R"(","size":18446744073709551615}})"),
        absl::StrCat(R"({"layers":[],"config":{"digest":")", kA,
                     R"(","size":"5"}})")));

TEST(SelectPlatformTest, TakesTheHighestVariantThatRuns) {
  const auto index = ParseIndex(absl::StrCat(
      R"({"manifests":[)", Entry(kA, "arm", "v6"), ",", Entry(kB, "arm", "v7"),
      ",", Entry(kA, "arm", "v8"), ",", Entry(kA, "unknown", ""), "]}"));
  ASSERT_THAT(index, IsOk());
  const auto chosen = SelectPlatform(*index, {"linux", "arm", "v7"});
  ASSERT_THAT(chosen, IsOk());
  EXPECT_EQ(chosen->descriptor.digest, kB);
}

TEST(SelectPlatformTest, PrefersThePlainVariant) {
  const auto index =
      ParseIndex(absl::StrCat(R"({"manifests":[)", Entry(kA, "amd64", "v3"),
                              ",", Entry(kB, "x86_64", ""), "]}"));
  ASSERT_THAT(index, IsOk());
  const auto chosen = SelectPlatform(*index, {"linux", "amd64", ""});
  ASSERT_THAT(chosen, IsOk());
  EXPECT_EQ(chosen->descriptor.digest, kB);
}

TEST(SelectPlatformTest, SaysWhatThereIs) {
  const auto index = ParseIndex(
      absl::StrCat(R"({"manifests":[)", Entry(kA, "s390x", ""), "]}"));
  ASSERT_THAT(index, IsOk());
  EXPECT_THAT(SelectPlatform(*index, {"linux", "amd64", ""}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("s390x")));
}

TEST(ImageConfigTest, ReadsWhatAContainerNeeds) {
  const auto parsed = ParseImageConfig(absl::StrCat(
      R"({"os":"linux","architecture":"x86_64","config":{
        "Env":["A=b","C="],"Entrypoint":["/e"],"Cmd":null,"User":"u:g",
        "WorkingDir":"/w","StopSignal":"SIGINT","Volumes":{"/v":{}},
        "Labels":{"k":"v"}},"rootfs":{"diff_ids":[")",
      kA, R"("]},"history":[{"empty_layer":true}]})"));
  ASSERT_THAT(parsed, IsOk());
  EXPECT_THAT(parsed->config.env(), ElementsAre("A=b", "C="));
  EXPECT_THAT(parsed->config.entrypoint(), ElementsAre("/e"));
  EXPECT_EQ(parsed->config.command_size(), 0);
  EXPECT_EQ(parsed->config.user(), "u:g");
  EXPECT_EQ(parsed->config.working_dir(), "/w");
  EXPECT_EQ(parsed->config.stop_signal(), "SIGINT");
  EXPECT_THAT(parsed->config.volumes(), ElementsAre("/v"));
  EXPECT_EQ(parsed->config.labels().at("k"), "v");
  EXPECT_EQ(parsed->config.architecture(), "amd64");
  EXPECT_THAT(parsed->diff_ids, ElementsAre(kA));
}

class BrokenConfigTest : public ::testing::TestWithParam<std::string> {};

TEST_P(BrokenConfigTest, IsDataLoss) {
  EXPECT_THAT(ParseImageConfig(GetParam()),
              StatusIs(absl::StatusCode::kDataLoss));
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenConfigTest,
    ::testing::Values("{}", R"({"rootfs":{"diff_ids":["sha256:1"]}})",
                      R"({"rootfs":{"diff_ids":"x"}})",
                      R"({"config":[],"rootfs":{}})",
                      R"({"config":{"Env":"A=b"},"rootfs":{}})",
                      R"({"config":{"Env":["A=\u0000"]},"rootfs":{}})",
                      R"({"config":{"Labels":{"a":1}},"rootfs":{}})",
                      R"({"config":{"Volumes":["/v"]},"rootfs":{}})"));

class CheckImageTest : public ::testing::Test {
 protected:
  CheckImageTest() {
    manifest_.layers.push_back(
        {"application/vnd.oci.image.layer.v1.tar", kA, 5});
    config_.diff_ids.push_back(kA);
    config_.config.set_os("linux");
    config_.config.set_architecture("amd64");
  }
  absl::Status Check(size_t max_layers = 127) {
    return CheckImage(manifest_, config_, {"linux", "amd64", ""}, max_layers);
  }
  ImageManifest manifest_;
  ImageConfigDocument config_;
};

TEST_F(CheckImageTest, AcceptsWhatFits) {
  EXPECT_THAT(Check(), IsOk());
}

TEST_F(CheckImageTest, RefusesAnUnequalNumberOfDiffIds) {
  config_.diff_ids.push_back(kB);
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(CheckImageTest, RefusesTooManyLayers) {
  EXPECT_THAT(Check(0), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CheckImageTest, RefusesLayersFromElsewhere) {
  manifest_.layers[0].media_type =
      "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("hand out")));
}

TEST_F(CheckImageTest, RefusesUnknownLayerTypes) {
  manifest_.layers[0].media_type += "+encrypted";
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CheckImageTest, RefusesAnotherMachinesImage) {
  config_.config.set_architecture("riscv64");
  EXPECT_THAT(Check(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("riscv64")));
}

}  // namespace
}  // namespace quoll::image
