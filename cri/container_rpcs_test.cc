// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "cri/fake_services.h"
#include "cri/rpcs.h"
#include "tests/support/status_matchers.h"

namespace quoll::cri {
namespace {

using ::google::protobuf::TextFormat;
using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kImageId[] =
    "sha256:1111111111111111111111111111111111111111111111111111111111111111";

criv1::ContainerConfig Config() {
  criv1::ContainerConfig config;
  EXPECT_TRUE(TextFormat::ParseFromString(
      R"pb(metadata { name: "app" attempt: 3 }
           image { user_specified_image: "reg.example/team/nginx:1" }
           command: "/bin/app"
           args: "-v"
           working_dir: "/srv"
           envs { key: "A" value: "\377b=c" }
           mounts {
             container_path: "/data"
             host_path: "/var/data"
             readonly: true
             propagation: PROPAGATION_HOST_TO_CONTAINER
             mount_options: "nosuid"
           }
           devices { container_path: "/dev/x" host_path: "/dev/null" }
           labels { key: "l" value: "1" }
           annotations { key: "a" value: "2" }
           log_path: "app/3.log"
           stdin: true
           tty: true
           linux {
             resources { cpu_shares: 512 memory_limit_in_bytes: 1048576 }
             security_context {
               capabilities { add_capabilities: "NET_ADMIN" }
               run_as_user { value: 1000 }
               run_as_group { value: 2000 }
               supplemental_groups: 3000
               no_new_privs: true
               seccomp { profile_type: RuntimeDefault }
             }
           }
           stop_signal: SIGNAL_SIGQUIT)pb",
      &config));
  config.mutable_image()->set_image(kImageId);
  return config;
}

class ContainerTest : public ::testing::Test {
 protected:
  ContainerTest() {
    runtime::SandboxRecord sandbox;
    sandbox.set_id("abc0000");
    sandbox.set_phase(state::v1::SANDBOX_READY);
    fake_.sandboxes.records.push_back(sandbox);
    image::ImageRecord image;
    image.set_id(kImageId);
    image.add_repo_tags("docker.io/library/nginx:1");
    image.add_repo_digests("docker.io/library/nginx@sha256:22");
    image.add_repo_digests("reg.example/team/nginx@sha256:33");
    image.mutable_config()->add_entrypoint("/entry");
    fake_.images.records.push_back(image);
  }

  absl::Status Create(const criv1::ContainerConfig& config,
                      const std::string& sandbox = "abc") {
    criv1::CreateContainerRequest request;
    request.set_pod_sandbox_id(sandbox);
    *request.mutable_config() = config;
    return CreateContainer(fake_.all, {}, request, &created_);
  }

  // Adds a record; its id is `id`.
  runtime::ContainerRecord& Add(const std::string& id,
                                const std::string& sandbox,
                                runtime::ContainerPhase phase) {
    runtime::ContainerRecord record;
    record.set_id(id);
    record.mutable_spec()->set_sandbox_id(sandbox);
    (*record.mutable_spec()->mutable_labels())["id"] = id;
    (*record.mutable_spec()->mutable_labels())["all"] = "";
    record.set_phase(phase);
    fake_.containers.records.push_back(record);
    return fake_.containers.records.back();
  }

  FakeBackends fake_;
  criv1::CreateContainerResponse created_;
};

TEST_F(ContainerTest, CreateHandsEverythingOn) {
  ASSERT_THAT(Create(Config()), IsOk());
  ASSERT_EQ(fake_.containers.records.size(), 1u);
  EXPECT_EQ(created_.container_id(), fake_.containers.records[0].id());
  const runtime::ContainerSpec& spec = fake_.containers.records[0].spec();
  EXPECT_EQ(spec.sandbox_id(), "abc0000");  // whole, from a prefix
  EXPECT_EQ(spec.name(), "app");
  EXPECT_EQ(spec.attempt(), 3u);
  EXPECT_EQ(spec.user_image(), "reg.example/team/nginx:1");
  EXPECT_EQ(spec.image_id(), kImageId);
  EXPECT_THAT(spec.image_config().entrypoint(), ElementsAre("/entry"));
  EXPECT_THAT(spec.rootfs().layer_dirs(),
              ElementsAre("/layers/a", "/layers/b"));
  EXPECT_THAT(spec.command(), ElementsAre("/bin/app"));
  EXPECT_THAT(spec.args(), ElementsAre("-v"));
  EXPECT_EQ(spec.working_dir(), "/srv");
  ASSERT_EQ(spec.env_size(), 1);
  EXPECT_EQ(spec.env(0).name(), "A");
  EXPECT_EQ(spec.env(0).value(), "\377b=c");  // bytes, as they are
  ASSERT_EQ(spec.mounts_size(), 1);
  EXPECT_EQ(spec.mounts(0).container_path(), "/data");
  EXPECT_EQ(spec.mounts(0).host_path(), "/var/data");
  EXPECT_TRUE(spec.mounts(0).readonly());
  EXPECT_EQ(spec.mounts(0).propagation(),
            state::v1::MountRequest::HOST_TO_CONTAINER);
  EXPECT_THAT(spec.mounts(0).options(), ElementsAre("nosuid"));
  ASSERT_EQ(spec.devices_size(), 1);
  EXPECT_EQ(spec.devices(0).container_path(), "/dev/x");
  EXPECT_EQ(spec.devices(0).permissions(), "rwm");
  EXPECT_EQ(spec.labels().at("l"), "1");
  EXPECT_EQ(spec.annotations().at("a"), "2");
  EXPECT_EQ(spec.log_path(), "app/3.log");
  EXPECT_TRUE(spec.stdin());
  EXPECT_TRUE(spec.tty());
  EXPECT_EQ(spec.resources().cpu_shares(), 512);
  EXPECT_EQ(spec.resources().memory_limit_bytes(), 1048576);
  EXPECT_THAT(spec.security().add_capabilities(), ElementsAre("NET_ADMIN"));
  EXPECT_EQ(spec.security().user().uid(), 1000);
  EXPECT_TRUE(spec.security().user().has_gid());
  EXPECT_EQ(spec.security().user().gid(), 2000);
  EXPECT_THAT(spec.security().user().supplemental_groups(), ElementsAre(3000));
  EXPECT_TRUE(spec.security().no_new_privs());
  EXPECT_EQ(spec.security().seccomp().kind(),
            state::v1::SecurityProfile::RUNTIME_DEFAULT);
  EXPECT_EQ(spec.stop_signal(), 3);
}

TEST_F(ContainerTest, ImageRefIsTheDigestOfTheRepositoryThatTheUserNamed) {
  ASSERT_THAT(Create(Config()), IsOk());
  EXPECT_EQ(fake_.containers.records[0].spec().image_ref(),
            "reg.example/team/nginx@sha256:33");
  // Another repository, or no name at all: any digest is true.
  criv1::ContainerConfig config = Config();
  config.mutable_image()->clear_user_specified_image();
  ASSERT_THAT(Create(config), IsOk());
  EXPECT_EQ(fake_.containers.records[1].spec().image_ref(),
            "docker.io/library/nginx@sha256:22");
  EXPECT_EQ(fake_.containers.records[1].spec().user_image(), kImageId);
  // An image that came from no registry has only its id.
  fake_.images.records[0].clear_repo_digests();
  ASSERT_THAT(Create(Config()), IsOk());
  EXPECT_EQ(fake_.containers.records[2].spec().image_ref(), kImageId);
}

TEST_F(ContainerTest, LayersAreHeldUntilTheIntentIsRecordedAndNoLonger) {
  int before = -1;
  int after = -1;
  fake_.containers.before_recorded = [&] { before = fake_.images.leases; };
  fake_.containers.after_recorded = [&] { after = fake_.images.leases; };
  ASSERT_THAT(Create(Config()), IsOk());
  EXPECT_EQ(before, 1);
  EXPECT_EQ(after, 0);
  fake_.containers.error = absl::ResourceExhaustedError("disk");
  EXPECT_THAT(Create(Config()),
              StatusIs(absl::StatusCode::kResourceExhausted, "disk"));
  EXPECT_EQ(fake_.images.leases, 0);
}

TEST_F(ContainerTest, CreateSaysWhatIsMissing) {
  EXPECT_THAT(Create(Config(), "fff"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("sandbox fff")));
  EXPECT_THAT(Create(Config(), ""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("pod_sandbox_id is empty")));
  criv1::ContainerConfig config = Config();
  config.mutable_image()->set_image("busybox");
  EXPECT_THAT(Create(config), StatusIs(absl::StatusCode::kNotFound,
                                       HasSubstr("busybox is not on this node: "
                                                 "pull it first")));
  // A name that can never be pulled is not to be pulled.
  fake_.images.error = absl::InvalidArgumentError("image name");
  EXPECT_THAT(Create(config),
              StatusIs(absl::StatusCode::kInvalidArgument, "image name"));
  EXPECT_THAT(fake_.containers.records, IsEmpty());
}

struct BadContainer {
  std::string merge;  // text format, merged over a good config
  absl::StatusCode code;
  std::string message;
};

TEST_F(ContainerTest, CreateRefusesWhatCannotBeHonoured) {
  constexpr auto kBad = absl::StatusCode::kInvalidArgument;
  constexpr auto kLater = absl::StatusCode::kUnimplemented;
  const std::string security = "linux { security_context { ";
  const BadContainer cases[] = {
      {"working_dir: \"srv\"", kBad, "config.working_dir \"srv\" must be"},
      {"command: \"a\\000b\"", kBad, "config.command contains a zero byte"},
      {"args: \"a\\000b\"", kBad, "config.args contains a zero byte"},
      {"envs { key: \"\" }", kBad, "config.envs[1].key \"\" must be a name"},
      {"envs { key: \"a=b\" }", kBad, "config.envs[1].key \"a=b\""},
      {"envs { key: \"K\" value: \"s\\000t\" }", kBad,
       "config.envs[1].value of K contains a zero byte"},
      {"mounts { container_path: \"data\" host_path: \"/d\" }", kBad,
       "config.mounts[1].container_path \"data\" must be"},
      {"mounts { container_path: \"/d\" }", kBad,
       "config.mounts[1].host_path \"\" must be"},
      {"mounts { container_path: \"/d\" host_path: \"/a\\000b\" }", kBad,
       "config.mounts[1].host_path contains a zero byte"},
      {"mounts { container_path: \"/d\" host_path: \"/d\" propagation: 7 }",
       kBad, "config.mounts[1].propagation: 7"},
      {"mounts { container_path: \"/d\" host_path: \"/d\" "
       "mount_options: \"suid\" }",
       kBad, "config.mounts[1].mount_options: \"suid\""},
      {"mounts { container_path: \"/d\" host_path: \"/d\" "
       "recursive_read_only: true }",
       kBad, "config.mounts[1].recursive_read_only needs readonly"},
      {"mounts { container_path: \"/d\" image { image: \"model:1\" } }", kLater,
       "config.mounts[1]: image volumes are not built yet (image model:1"},
      {"mounts { container_path: \"/d\" host_path: \"/d\" "
       "uidMappings { length: 1 } }",
       kLater, "config.mounts[1]: mounts with id mappings"},
      {"devices { host_path: \"null\" }", kBad,
       "config.devices[1].host_path \"null\" must be"},
      {"devices { host_path: \"/dev/null\" permissions: \"rx\" }", kBad,
       "config.devices[1].permissions \"rx\""},
      {"CDI_devices { name: \"v/c=d\" }", kLater,
       "CDI is not built yet (device v/c=d)"},
      {"log_path: \"../x\"", kBad, "config.log_path \"../x\" must be"},
      {"log_path: \"/x\"", kBad, "config.log_path \"/x\" must be"},
      {"stop_signal: 99", kBad, "config.stop_signal: 99"},
      {"linux { resources { cpu_quota: -2 } }", kBad,
       "config.linux.resources.cpu_quota is -2"},
      {security + "run_as_user { value: -1 } } }", kBad, "run_as_user is -1"},
      {security + "run_as_user { value: 4294967295 } } }", kBad,
       "run_as_user is 4294967295"},
      {security + "run_as_group { value: 4294967296 } } }", kBad,
       "run_as_group is"},
      {security + "run_as_username: \"www\" } }", kBad, "exclude each other"},
      {security + "supplemental_groups: -5 } }", kBad,
       "supplemental_groups is -5"},
      {security + "supplemental_groups_policy: 9 } }", kBad,
       "supplemental_groups_policy: 9 is none of Merge and Strict"},
      {security + "seccomp { profile_type: Localhost } } }", kBad,
       "seccomp.localhost_ref is empty"},
      {security +
           "seccomp { profile_type: Localhost localhost_ref: \"p.json\" } } }",
       kBad, "seccomp.localhost_ref \"p.json\" must be an absolute path"},
      {security + "apparmor { profile_type: 8 } } }", kBad,
       "apparmor.profile_type: 8"},
      {security + "apparmor_profile: \"mine\" } }", kBad,
       "apparmor_profile: \"mine\" is none of"},
      {security + "namespace_options { network: CONTAINER } } }", kBad,
       "namespace_options.network: mode CONTAINER"},
      {security + "namespace_options { pid: TARGET } } }", kBad,
       "namespace_options.target_id is empty"},
      {security + "namespace_options { userns_options { mode: POD } } } }",
       kLater, "hostUsers"},
  };
  for (const BadContainer& bad : cases) {
    criv1::ContainerConfig change;
    ASSERT_TRUE(TextFormat::ParseFromString(bad.merge, &change)) << bad.merge;
    criv1::ContainerConfig config = Config();
    config.MergeFrom(change);
    EXPECT_THAT(Create(config), StatusIs(bad.code, HasSubstr(bad.message)))
        << bad.merge;
  }
  EXPECT_THAT(fake_.containers.records, IsEmpty());
}

TEST_F(ContainerTest, CreateWithoutNameOrImageIsRefused) {
  criv1::ContainerConfig config = Config();
  config.clear_metadata();
  EXPECT_THAT(Create(config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("config.metadata.name is empty")));
  config = Config();
  config.clear_image();
  EXPECT_THAT(Create(config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("config.image.image is empty")));
  config = Config();
  config.mutable_linux()->mutable_security_context()->clear_run_as_user();
  EXPECT_THAT(Create(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("run_as_group needs")));
}

TEST_F(ContainerTest, StartRemoveAndReopenHandTheIdOnAndTheErrorBack) {
  criv1::StartContainerRequest start;
  criv1::StartContainerResponse started;
  criv1::RemoveContainerRequest remove;
  criv1::RemoveContainerResponse removed;
  criv1::ReopenContainerLogRequest reopen;
  criv1::ReopenContainerLogResponse reopened;
  // An empty id would be a prefix of every id.
  constexpr auto kBad = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(StartContainer(fake_.all, {}, start, &started), StatusIs(kBad));
  EXPECT_THAT(RemoveContainer(fake_.all, {}, remove, &removed), StatusIs(kBad));
  EXPECT_THAT(ReopenContainerLog(fake_.all, {}, reopen, &reopened),
              StatusIs(kBad));
  EXPECT_THAT(fake_.containers.removed, IsEmpty());
  start.set_container_id("d1");
  remove.set_container_id("d2");
  reopen.set_container_id("d3");
  EXPECT_THAT(StartContainer(fake_.all, {}, start, &started), IsOk());
  EXPECT_THAT(RemoveContainer(fake_.all, {}, remove, &removed), IsOk());
  EXPECT_THAT(ReopenContainerLog(fake_.all, {}, reopen, &reopened), IsOk());
  EXPECT_THAT(fake_.containers.started, ElementsAre("d1"));
  EXPECT_THAT(fake_.containers.removed, ElementsAre("d2"));
  EXPECT_EQ(fake_.images.containers_gone, 1);
  EXPECT_THAT(fake_.containers.reopened, ElementsAre("d3"));
  fake_.containers.error = absl::FailedPreconditionError("not now");
  constexpr auto kNotNow = absl::StatusCode::kFailedPrecondition;
  EXPECT_THAT(StartContainer(fake_.all, {}, start, &started),
              StatusIs(kNotNow, "not now"));
  EXPECT_THAT(RemoveContainer(fake_.all, {}, remove, &removed),
              StatusIs(kNotNow, "not now"));
  EXPECT_THAT(ReopenContainerLog(fake_.all, {}, reopen, &reopened),
              StatusIs(kNotNow, "not now"));
}

TEST_F(ContainerTest, StopTakesTheGracePeriodInSeconds) {
  criv1::StopContainerRequest request;
  criv1::StopContainerResponse response;
  EXPECT_THAT(StopContainer(fake_.all, {}, request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.set_container_id("c");
  for (const auto& [seconds, grace] :
       {std::pair<int64_t, absl::Duration>{30, absl::Seconds(30)},
        {0, absl::ZeroDuration()},
        {-7, absl::ZeroDuration()},
        {std::numeric_limits<int64_t>::max(),
         absl::Seconds(std::numeric_limits<int64_t>::max())}}) {
    request.set_timeout(seconds);
    EXPECT_THAT(StopContainer(fake_.all, {}, request, &response), IsOk());
    EXPECT_THAT(fake_.containers.stopped, ElementsAre(Pair("c", grace)));
  }
}

TEST_F(ContainerTest, StatusHasWhatTheKubeletReliesOn) {
  ASSERT_THAT(Create(Config()), IsOk());
  runtime::ContainerRecord& record = fake_.containers.records[0];
  record.set_phase(state::v1::CONTAINER_EXITED);
  record.set_started_at_ns(3000);
  record.set_finished_at_ns(4000);
  record.set_exit_code(137);
  record.set_reason("OOMKilled");
  record.set_message("exec \xff: no such file");  // a runtime's words
  record.set_log_path("/var/log/pods/app/3.log");
  record.set_runtime_name("runc");
  record.mutable_init()->set_pid(4711);
  record.mutable_effective_user()->set_uid(1000);
  record.mutable_effective_user()->set_gid(2000);
  record.mutable_effective_user()->add_supplemental_groups(3000);
  record.mutable_effective_resources()->set_memory_limit_bytes(99);
  record.set_stop_signal(3);
  criv1::ContainerStatusRequest request;
  request.set_container_id("def0");
  request.set_verbose(true);
  criv1::ContainerStatusResponse response;
  ASSERT_THAT(ContainerStatus(fake_.all, {}, request, &response), IsOk());
  const criv1::ContainerStatus& status = response.status();
  EXPECT_EQ(status.id(), record.id());
  EXPECT_EQ(status.metadata().name(), "app");
  EXPECT_EQ(status.metadata().attempt(), 3u);
  EXPECT_EQ(status.state(), criv1::CONTAINER_EXITED);
  EXPECT_EQ(status.created_at(), 2000);
  EXPECT_EQ(status.started_at(), 3000);
  EXPECT_EQ(status.finished_at(), 4000);
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.image().image(), "reg.example/team/nginx:1");
  EXPECT_EQ(status.image_id(), kImageId);
  EXPECT_EQ(status.image_ref(), "reg.example/team/nginx@sha256:33");
  EXPECT_EQ(status.reason(), "OOMKilled");
  EXPECT_EQ(status.message(), "exec \xEF\xBF\xBD: no such file");
  EXPECT_EQ(status.labels().at("l"), "1");
  EXPECT_EQ(status.annotations().at("a"), "2");
  ASSERT_EQ(status.mounts_size(), 1);
  EXPECT_EQ(status.mounts(0).SerializeAsString(),
            Config().mounts(0).SerializeAsString());
  EXPECT_EQ(status.log_path(), "/var/log/pods/app/3.log");
  EXPECT_EQ(status.resources().linux().memory_limit_in_bytes(), 99);
  EXPECT_EQ(status.user().linux().uid(), 1000);
  EXPECT_EQ(status.user().linux().gid(), 2000);
  EXPECT_THAT(status.user().linux().supplemental_groups(), ElementsAre(3000));
  EXPECT_EQ(status.stop_signal(), criv1::SIGNAL_SIGQUIT);
  const std::string& info = response.info().at("info");
  EXPECT_THAT(info, HasSubstr("\"pid\": 4711"));
  EXPECT_THAT(info, HasSubstr("\"ociVersion\": \"1\""));
  EXPECT_THAT(info, HasSubstr("\"sandboxID\": \"abc0000\""));

  // What cannot be shown does not hide the rest.
  fake_.containers.oci_spec = absl::NotFoundError("config.json is gone");
  ASSERT_THAT(ContainerStatus(fake_.all, {}, request, &response), IsOk());
  EXPECT_THAT(response.info().at("info"), HasSubstr("config.json is gone"));
  fake_.containers.oci_spec = std::string("{");
  ASSERT_THAT(ContainerStatus(fake_.all, {}, request, &response), IsOk());
  EXPECT_THAT(response.info().at("info"), HasSubstr("not JSON"));
}

TEST_F(ContainerTest, StatusOfUnknownIsNotFound) {
  criv1::ContainerStatusRequest request;
  criv1::ContainerStatusResponse response;
  EXPECT_THAT(ContainerStatus(fake_.all, {}, request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.set_container_id("nothing");
  EXPECT_THAT(ContainerStatus(fake_.all, {}, request, &response),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
}

TEST_F(ContainerTest, ListAppliesEveryPartOfTheFilter) {
  Add("aa1", "sb1", state::v1::CONTAINER_CREATED);
  Add("aa2", "sb1", state::v1::CONTAINER_RUNNING);
  Add("bb1", "sb2", state::v1::CONTAINER_EXITED);
  Add("bb2", "sb2", state::v1::CONTAINER_REMOVING);
  Add("cc1", "xx3", state::v1::CONTAINER_UNKNOWN);
  const auto list = [this](const std::string& filter) {
    criv1::ListContainersRequest request;
    EXPECT_TRUE(TextFormat::ParseFromString(filter, request.mutable_filter()));
    criv1::ListContainersResponse response;
    EXPECT_THAT(ListContainers(fake_.all, {}, request, &response), IsOk());
    std::vector<std::string> ids;
    for (const criv1::Container& container : response.containers()) {
      ids.push_back(container.id());
    }
    return ids;
  };
  EXPECT_THAT(list(""), ElementsAre("aa1", "aa2", "bb1", "bb2", "cc1"));
  EXPECT_THAT(list("id: \"aa\""), ElementsAre("aa1", "aa2"));
  EXPECT_THAT(list("id: \"aa1x\""), IsEmpty());
  EXPECT_THAT(list("pod_sandbox_id: \"sb\""),
              ElementsAre("aa1", "aa2", "bb1", "bb2"));
  // CREATED is the zero value: only a filter that is there may select by it.
  EXPECT_THAT(list("state { state: CONTAINER_CREATED }"), ElementsAre("aa1"));
  EXPECT_THAT(list("state { }"), ElementsAre("aa1"));
  EXPECT_THAT(list("state { state: CONTAINER_RUNNING }"), ElementsAre("aa2"));
  EXPECT_THAT(list("state { state: CONTAINER_EXITED }"),
              ElementsAre("bb1", "bb2"));
  EXPECT_THAT(list("state { state: CONTAINER_UNKNOWN }"), ElementsAre("cc1"));
  EXPECT_THAT(list("label_selector { key: \"id\" value: \"bb1\" } "
                   "label_selector { key: \"all\" value: \"\" }"),
              ElementsAre("bb1"));
  // A label without a value is not the same as no label.
  EXPECT_THAT(list("label_selector { key: \"none\" value: \"\" }"), IsEmpty());
  EXPECT_THAT(list("id: \"bb\" pod_sandbox_id: \"sb1\""), IsEmpty());
}

TEST_F(ContainerTest, ListHasEveryFieldOfAContainer) {
  ASSERT_THAT(Create(Config()), IsOk());
  criv1::ListContainersResponse response;
  ASSERT_THAT(ListContainers(fake_.all, {}, {}, &response), IsOk());
  ASSERT_EQ(response.containers_size(), 1);
  const criv1::Container& container = response.containers(0);
  EXPECT_EQ(container.id(), created_.container_id());
  EXPECT_EQ(container.pod_sandbox_id(), "abc0000");
  EXPECT_EQ(container.metadata().name(), "app");
  EXPECT_EQ(container.metadata().attempt(), 3u);
  EXPECT_EQ(container.image().image(), "reg.example/team/nginx:1");
  EXPECT_EQ(container.image_ref(), "reg.example/team/nginx@sha256:33");
  EXPECT_EQ(container.image_id(), kImageId);
  EXPECT_EQ(container.state(), criv1::CONTAINER_CREATED);
  EXPECT_EQ(container.created_at(), 2000);
  EXPECT_EQ(container.labels().at("l"), "1");
  EXPECT_EQ(container.annotations().at("a"), "2");
}

TEST_F(ContainerTest, ExecSyncHandsArgumentsOnAndOutputBack) {
  fake_.containers.exec_output = {
      .exit_code = 3, .out = std::string("o\0\xff", 3), .err = "e"};
  criv1::ExecSyncRequest request;
  request.set_container_id("c");
  request.add_cmd("sh");
  request.add_cmd("");  // an empty argument is one
  request.set_timeout(5);
  criv1::ExecSyncResponse response;
  ASSERT_THAT(ExecSync(fake_.all, {}, request, &response), IsOk());
  EXPECT_EQ(response.exit_code(), 3);
  EXPECT_EQ(response.stdout(), std::string("o\0\xff", 3));
  EXPECT_EQ(response.stderr(), "e");
  EXPECT_THAT(fake_.containers.exec_argv, ElementsAre("sh", ""));
  EXPECT_EQ(fake_.containers.exec_timeout, absl::Seconds(5));
  request.set_timeout(0);
  ASSERT_THAT(ExecSync(fake_.all, {}, request, &response), IsOk());
  EXPECT_EQ(fake_.containers.exec_timeout, absl::InfiniteDuration());
  fake_.containers.error = absl::DeadlineExceededError("took 5s");
  EXPECT_THAT(ExecSync(fake_.all, {}, request, &response),
              StatusIs(absl::StatusCode::kDeadlineExceeded, "took 5s"));
}

TEST_F(ContainerTest, ExecSyncRefusesWhatCannotRun) {
  const std::pair<std::string, std::string> cases[] = {
      {"cmd: \"sh\"", "container_id is empty"},
      {"container_id: \"c\"", "cmd is empty"},
      {"container_id: \"c\" cmd: \"\" cmd: \"x\"", "cmd is empty"},
      {"container_id: \"c\" cmd: \"a\\000b\"", "cmd contains a zero byte"},
      {"container_id: \"c\" cmd: \"sh\" timeout: -1", "timeout is -1"},
  };
  for (const auto& [text, message] : cases) {
    criv1::ExecSyncRequest request;
    ASSERT_TRUE(TextFormat::ParseFromString(text, &request)) << text;
    criv1::ExecSyncResponse response;
    EXPECT_THAT(
        ExecSync(fake_.all, {}, request, &response),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << text;
  }
  EXPECT_THAT(fake_.containers.exec_argv, IsEmpty());
}

}  // namespace
}  // namespace quoll::cri
