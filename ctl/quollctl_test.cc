// SPDX-License-Identifier: Apache-2.0
#include "ctl/quollctl.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "ctl/fake_daemon.h"
#include "os/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace quoll::ctl {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kPod[] = "aaaa00000000000000000000000000000000";
constexpr char kContainer[] = "bbbb00000000000000000000000000000000";

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

Result RunWith(std::vector<std::string> words) {
  words.insert(words.begin(), "quollctl");
  std::vector<const char*> argv;
  argv.reserve(words.size());
  for (const std::string& word : words) {
    argv.push_back(word.c_str());
  }
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Result result;
  result.code = Quollctl(static_cast<int>(argv.size()), argv.data());
  result.out = ::testing::internal::GetCapturedStdout();
  result.err = ::testing::internal::GetCapturedStderr();
  return result;
}

class QuollctlTest : public ::testing::Test {
 protected:
  Result Run(const std::vector<std::string>& words) {
    std::vector<std::string> all = {"--socket", socket_};
    all.insert(all.end(), words.begin(), words.end());
    return RunWith(all);
  }

  // One pod "web" with one running container "web".
  criv1::ContainerStatus* AddWeb() {
    daemon_.AddPod(kPod, "web");
    return daemon_.AddContainer(kContainer, "web", kPod);
  }

  criv1::Image* AddImage(const std::string& id, const std::string& tag) {
    criv1::Image* image = daemon_.images.add_images();
    image->set_id(id);
    image->set_size(2 << 20);
    if (!tag.empty()) {
      image->add_repo_tags(tag);
    }
    return image;
  }

  quoll::testing::TempDir dir_;
  const std::string socket_ = dir_ / "quoll.sock";
  FakeDaemon daemon_{socket_};
};

// ---- the command line

TEST_F(QuollctlTest, MistakesOnTheCommandLineExitWith2) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{},
        {"nosuch"},
        {"ps", "x"},
        {"ps", "--nosuch"},
        {"-o", "yaml", "ps"},
        {"exec"},
        {"exec", "web"},
        {"run"},
        {"stop"},
        {"logs", "--tail", "-1", "web"},
        {"run", "--port", "x", "busybox"},
        {"run", "--env", "x", "busybox"},
        {"run", "--mount", "x", "busybox"},
        {"run", "--name", "A_b", "busybox"}}) {
    const Result result = Run(words);
    EXPECT_EQ(result.code, 2) << ::testing::PrintToString(words);
    EXPECT_THAT(result.err, StartsWith("quollctl: "));
    EXPECT_EQ(result.out, "");
  }
  EXPECT_THAT(daemon_.calls(), IsEmpty());
}

TEST_F(QuollctlTest, AMistypedCommandIsNamed) {
  EXPECT_THAT(Run({"pds"}).err, HasSubstr("pds"));
}

TEST_F(QuollctlTest, HelpIsNoMistake) {
  const Result result = Run({"run", "--help"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("--mount"));
  EXPECT_EQ(RunWith({"--version"}).code, 0);
}

TEST_F(QuollctlTest, OptionsOfAllCommandsMayStandBehindOne) {
  const Result result = RunWith({"pods", "-o", "json", "--socket", socket_});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("\"items\": []"));
}

TEST_F(QuollctlTest, TheSocketMayComeFromTheEnvironment) {
  setenv("QUOLL_SOCKET", socket_.c_str(), 1);
  EXPECT_EQ(RunWith({"ps"}).code, 0);
  EXPECT_EQ(RunWith({"--socket", "/nonexistent", "ps"}).code, 1);
  unsetenv("QUOLL_SOCKET");
}

// ---- the daemon

TEST_F(QuollctlTest, NoSocketIsSaidSo) {
  const Result result = RunWith({"--socket", dir_ / "none", "version"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, MatchesRegex("quollctl [^\n]+\n"));
  EXPECT_THAT(result.err, HasSubstr("is quolld running?"));
}

TEST_F(QuollctlTest, ASocketWithNobodyBehindItIsSaidSo) {
  std::ofstream(dir_ / "dead") << "";
  const Result result = RunWith({"--socket", dir_ / "dead", "ps"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("does not answer"));
}

TEST_F(QuollctlTest, TheDaemonsErrorIsOneHarmlessLine) {
  AddWeb();
  daemon_.errors["StopPodSandbox"] = {grpc::StatusCode::UNKNOWN,
                                      "runc: \x1b[2J\nquollctl: all is well"};
  const Result result = Run({"stop", "web"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err, "quollctl: runc: ?[2J quollctl: all is well\n");
}

TEST_F(QuollctlTest, VersionIsThatOfBoth) {
  const Result result = Run({"version"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, MatchesRegex("quollctl .*\nquoll 9.9, CRI v1\n"));
}

TEST_F(QuollctlTest, InfoSaysWhatIsNotReadyAndWhy) {
  criv1::RuntimeCondition* network =
      daemon_.status.mutable_status()->add_conditions();
  network->set_type("NetworkReady");
  network->set_message("no CNI configuration in /etc/cni/net.d");
  daemon_.status.add_runtime_handlers()->set_name("runc");
  (*daemon_.status.mutable_info())["config"] = "{}";
  const Result result = Run({"info"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out,
            "NetworkReady: no (no CNI configuration in /etc/cni/net.d)\n"
            "Handlers: runc\n"
            "config: {}\n");
}

TEST_F(QuollctlTest, AReaderThatHasGoneIsNotComplainedAbout) {
  signal(SIGPIPE, SIG_IGN);  // as main() does
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  fflush(stdout);
  const os::UniqueFd saved(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  dup2(ends[1], STDOUT_FILENO);
  close(ends[1]);
  ::testing::internal::CaptureStderr();
  const std::vector<const char*> argv = {"quollctl", "--socket",
                                         socket_.c_str(), "version"};
  const int code = Quollctl(static_cast<int>(argv.size()), argv.data());
  const std::string err = ::testing::internal::GetCapturedStderr();
  dup2(saved.get(), STDOUT_FILENO);
  clearerr(stdout);
  signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(code, 1);
  EXPECT_EQ(err, "");
}

// ---- lists

TEST_F(QuollctlTest, ListsOfNothingHaveAHeadingOnly) {
  EXPECT_EQ(Run({"pods"}).out,
            "POD  NAME  NAMESPACE  STATE  IP  AGE  HANDLER\n");
  EXPECT_EQ(Run({"ps"}).out, "CONTAINER  NAME  POD  IMAGE  STATE  AGE\n");
  EXPECT_EQ(Run({"images"}).out, "IMAGE  NAME  SIZE\n");
  for (const char* command : {"pods", "ps", "images"}) {
    EXPECT_EQ(Run({command, "-q"}).out, "");
  }
}

TEST_F(QuollctlTest, PodsShowsAddressesAndNoControls) {
  daemon_.AddPod(kPod, "w\x1b[31mb");
  criv1::PodSandbox* stopped = daemon_.AddPod("cccc", "old");
  stopped->set_state(criv1::SANDBOX_NOTREADY);
  stopped->set_runtime_handler("crun");
  EXPECT_EQ(Run({"pods"}).out,
            "POD           NAME     NAMESPACE  STATE      IP        AGE  "
            "HANDLER\n"
            "aaaa00000000  w?[31mb  default    ready      10.0.0.2  -    "
            "(default)\n"
            "cccc          old      default    not ready  -         -    "
            "crun\n");
  EXPECT_EQ(Run({"pods", "-q"}).out, absl::StrCat(kPod, "\ncccc\n"));
}

TEST_F(QuollctlTest, APodThatGoesMeanwhileIsLeftOut) {
  daemon_.AddPod(kPod, "web");
  daemon_.errors["PodSandboxStatus"] = {grpc::StatusCode::NOT_FOUND, "gone"};
  const Result result = Run({"pods"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, Not(HasSubstr("web")));
}

TEST_F(QuollctlTest, PsShowsWhatRunsAndOnDemandTheRestWithItsCode) {
  AddWeb();
  daemon_.AddContainer("cccc", "job", kPod)->set_exit_code(7);
  daemon_.containers.mutable_containers(1)->set_state(criv1::CONTAINER_EXITED);
  EXPECT_THAT(Run({"ps"}).out, AllOf(HasSubstr("bbbb00000000  web   web"),
                                     Not(HasSubstr("job"))));
  EXPECT_THAT(Run({"ps", "-a"}).out, HasSubstr("exited (7)"));
  EXPECT_EQ(Run({"ps", "-q"}).out, absl::StrCat(kContainer, "\n"));
}

TEST_F(QuollctlTest, ImagesHasARowForEachName) {
  AddImage("sha256:0123456789abcdef", "a:1")->add_repo_tags("b:1");
  AddImage("sha256:fedcba9876543210", "")->add_repo_digests("c@sha256:1");
  EXPECT_EQ(Run({"images"}).out,
            "IMAGE         NAME        SIZE\n"
            "0123456789ab  a:1         2.0 MiB\n"
            "0123456789ab  b:1         2.0 MiB\n"
            "fedcba987654  c@sha256:1  2.0 MiB\n");
}

// ---- images

TEST_F(QuollctlTest, PullPrintsTheId) {
  EXPECT_EQ(Run({"pull", "busybox"}).out, "sha256:pulled\n");
  daemon_.errors["PullImage"] = {grpc::StatusCode::NOT_FOUND, "no such tag"};
  EXPECT_EQ(Run({"pull", "busybox"}).code, 3);
}

TEST_F(QuollctlTest, LoadGivesTheDaemonAnAbsolutePath) {
  opv1::LoadImageResponse::Loaded* image = daemon_.loaded.add_images();
  image->set_id("sha256:0123456789abcdef");
  image->add_repo_tags("a:1");
  image->set_size_bytes(1024);
  const Result result = Run({"load", "some.tar", "--name", "a:1"});
  EXPECT_EQ(result.out, "0123456789ab  a:1  1.0 KiB\n");
  EXPECT_THAT(daemon_.calls(),
              ElementsAre(absl::StrCat(
                  "LoadImage ", std::filesystem::absolute("some.tar").string(),
                  " a:1")));
}

TEST_F(QuollctlTest, RmiGoesOnBehindAnImageThatIsNotThere) {
  AddImage("sha256:01", "a:1");
  const Result result = Run({"rmi", "nosuch", "a:1"});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "a:1\n");
  EXPECT_THAT(result.err, HasSubstr("no image nosuch"));
  EXPECT_THAT(daemon_.calls(), ElementsAre("RemoveImage a:1"));
}

// ---- run

TEST_F(QuollctlTest, RunMakesAPodWithOneContainer) {
  AddImage("sha256:01", "busybox");
  const Result result = Run(
      {"run", "--name", "web", "-t", "crun", "busybox", "sh", "-c", "[a,b]"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(
      result.out,
      "pod        newpod\ncontainer  newcontainer\nip         10.0.0.2\n");
  EXPECT_THAT(daemon_.calls(),
              ElementsAre("RunPodSandbox web", "CreateContainer sha256:01",
                          "StartContainer newcontainer"));
  EXPECT_EQ(daemon_.pod_request.runtime_handler(), "crun");
  const criv1::ContainerConfig& config = daemon_.container_request.config();
  EXPECT_EQ(config.image().user_specified_image(), "busybox");
  EXPECT_THAT(config.args(), ElementsAre("sh", "-c", "[a,b]"));
}

TEST_F(QuollctlTest, RunAnswersInJsonToo) {
  AddImage("sha256:01", "busybox");
  EXPECT_EQ(Run({"run", "-o", "json", "--name", "web", "busybox"}).out,
            "{\n \"pod_sandbox_id\": \"newpod\",\n"
            " \"container_id\": \"newcontainer\",\n \"ip\": \"10.0.0.2\"\n}\n");
}

TEST_F(QuollctlTest, RunFetchesAnImageOnlyWhenTold) {
  const Result refused = Run({"run", "busybox"});
  EXPECT_EQ(refused.code, 3);
  EXPECT_THAT(refused.err, HasSubstr("--pull"));
  EXPECT_THAT(daemon_.calls(), IsEmpty());

  EXPECT_EQ(Run({"run", "--name", "web", "--pull", "busybox"}).code, 0);
  EXPECT_THAT(daemon_.calls(),
              ElementsAre("PullImage busybox", "RunPodSandbox web",
                          "CreateContainer sha256:pulled",
                          "StartContainer newcontainer"));
}

TEST_F(QuollctlTest, RunRefusesANameThatIsTaken) {
  AddImage("sha256:01", "busybox");
  AddWeb();
  const Result result = Run({"run", "--name", "web", "busybox"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("there is a pod web"));
  EXPECT_THAT(daemon_.calls(), IsEmpty());
  EXPECT_EQ(Run({"run", "--name", "web", "--namespace", "b", "busybox"}).code,
            0);
}

TEST_F(QuollctlTest, RunTakesThePodAwayWhenItsContainerFails) {
  AddImage("sha256:01", "busybox");
  for (const char* method : {"CreateContainer", "StartContainer"}) {
    daemon_.errors = {
        {method, {grpc::StatusCode::FAILED_PRECONDITION, "no such program"}}};
    const Result result = Run({"run", "--name", "web", "busybox"});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.err, "quollctl: no such program\n");
    EXPECT_EQ(daemon_.calls().back(), "RemovePodSandbox newpod");
  }
  daemon_.errors["RemovePodSandbox"] = {grpc::StatusCode::INTERNAL, "stuck"};
  EXPECT_THAT(Run({"run", "--name", "web", "busybox"}).err,
              AllOf(HasSubstr("no such program"),
                    HasSubstr("the pod newpod is left: stuck")));
}

// ---- exec

TEST_F(QuollctlTest, ExecPassesStreamsAndCodeOn) {
  AddWeb();
  daemon_.exec.set_stdout("out");
  daemon_.exec.set_stderr("err\x1b[0m");  // the command's own business
  daemon_.exec.set_exit_code(3);
  const Result result = Run({"exec", "web", "--", "ls", "-la", "--"});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "out");
  EXPECT_EQ(result.err, "err\x1b[0m");
  EXPECT_THAT(daemon_.calls(),
              ElementsAre(absl::StrCat("ExecSync ", kContainer, " ls -la --")));
}

TEST_F(QuollctlTest, ExecThatComesToNoCodeAnswers125) {
  AddWeb();
  daemon_.errors["ExecSync"] = {grpc::StatusCode::NOT_FOUND, "no such command"};
  EXPECT_EQ(Run({"exec", "web", "x"}).code, 125);
  const Result missing = Run({"exec", "nosuch", "x"});
  EXPECT_EQ(missing.code, 125);
  EXPECT_THAT(missing.err, HasSubstr("no container"));
}

// ---- stop, rm, inspect

TEST_F(QuollctlTest, StopOfAPodAsksItsContainersFirst) {
  AddWeb();
  EXPECT_EQ(Run({"stop", "-t", "5", "web"}).out, absl::StrCat(kPod, "\n"));
  EXPECT_THAT(daemon_.calls(),
              ElementsAre(absl::StrCat("StopContainer ", kContainer, " 5"),
                          absl::StrCat("StopPodSandbox ", kPod)));
}

TEST_F(QuollctlTest, StopGoesOnAndItsCodeIsTheWorst) {
  AddWeb();
  Result result = Run({"stop", "nosuch", "web/web", "-o", "json"});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, absl::StrCat("[\n \"", kContainer, "\"\n]\n"));
  daemon_.errors["StopContainer"] = {grpc::StatusCode::UNKNOWN, "stuck"};
  result = Run({"stop", "web/web", "nosuch"});
  EXPECT_EQ(result.code, 1);
}

TEST_F(QuollctlTest, AnAmbiguousPrefixIsExplained) {
  daemon_.AddPod("aaaa1", "one");
  daemon_.AddPod("aaaa2", "two");
  const Result result = Run({"stop", "aaaa"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("aaaa1 (one), pod aaaa2 (two)"));
}

TEST_F(QuollctlTest, RmTakesOnlyWhatHasBeenStopped) {
  AddWeb();
  for (const char* word : {"web", "web/web"}) {
    const Result refused = Run({"rm", word});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("rm -f"));
  }
  EXPECT_THAT(daemon_.calls(), IsEmpty());
  EXPECT_EQ(Run({"rm", "-f", "web/web", "web"}).code, 0);
  EXPECT_THAT(daemon_.calls(),
              ElementsAre(absl::StrCat("RemoveContainer ", kContainer),
                          absl::StrCat("RemovePodSandbox ", kPod)));
}

TEST_F(QuollctlTest, InspectPrintsTheDaemonsJson) {
  AddWeb();
  EXPECT_EQ(Run({"inspect", "web"}).out,
            absl::StrCat("{\"id\": \"", kPod, "\"}\n"));
  EXPECT_EQ(Run({"inspect", "nosuch"}).code, 3);
}

// ---- logs

class LogsTest : public QuollctlTest {
 protected:
  LogsTest() { AddWeb()->set_log_path(path_); }

  void Append(const std::string& text) {
    std::ofstream(path_, std::ios::app) << text;
  }
  static std::string Line(const std::string& rest) {
    return absl::StrCat("2026-03-01T12:00:00Z ", rest, "\n");
  }

  const std::string path_ = dir_ / "web.log";
};

TEST_F(LogsTest, StreamsGoWhereTheyCameFrom) {
  Append(Line("stdout P a") + Line("stdout F b") + Line("stderr F c") +
         "2026-03-01T12:00:00Z stdout F cut");
  const Result result = Run({"logs", "web"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "ab\ncut\n");
  EXPECT_EQ(result.err, "c\n");
}

TEST_F(LogsTest, TailShowsTheLastLines) {
  Append(Line("stdout F a") + Line("stdout P b") + Line("stdout F c"));
  EXPECT_EQ(Run({"logs", "--tail", "1", "web"}).out, "bc\n");
  EXPECT_EQ(Run({"logs", "--tail", "0", "web"}).out, "");
}

TEST_F(LogsTest, FollowGoesThroughARotationToTheContainersEnd) {
  Append(Line("stdout F one"));
  int looks = 0;
  daemon_.on_look = [&](criv1::ContainerStatus& status) {
    // The first look is for the path, the second begins to follow.
    if (++looks == 2) {
      Append(Line("stdout F two") + "2026 stdout F cut");
      std::filesystem::rename(path_, path_ + ".1");
      Append(Line("stdout F three"));
    } else if (looks == 3) {
      Append(Line("stdout F four"));
      status.set_state(criv1::CONTAINER_EXITED);
    }
  };
  const Result result = Run({"logs", "-f", "web"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "one\ntwo\ncut\nthree\nfour\n");
}

TEST_F(LogsTest, FollowOfAContainerThatHasEndedEnds) {
  Append(Line("stdout F one"));
  daemon_.statuses[kContainer].set_state(criv1::CONTAINER_EXITED);
  EXPECT_EQ(Run({"logs", "-f", "web"}).out, "one\n");
}

TEST_F(LogsTest, AContainerWithoutALogSaysWhy) {
  EXPECT_THAT(Run({"logs", "web"}).err, HasSubstr(path_));
  daemon_.statuses[kContainer].set_state(criv1::CONTAINER_CREATED);
  EXPECT_THAT(Run({"logs", "web"}).err, HasSubstr("has not been started"));
  daemon_.statuses[kContainer].clear_log_path();
  EXPECT_THAT(Run({"logs", "web"}).err, HasSubstr("keeps no log"));
}

}  // namespace
}  // namespace quoll::ctl
