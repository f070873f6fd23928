// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "os/files.h"
#include "os/process.h"
#include "os/unique_fd.h"
#include "proto/runtime/v1/api.grpc.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

// quolld as a service manager sees it: a process with a configuration file, a
// notify socket, signals and exit codes. No pod is made.
namespace quoll::cri {
namespace {

namespace criv1 = ::runtime::v1;

using ::quoll::testing::IsOk;
using ::quoll::testing::IsOkAndHolds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::Duration kPatience = absl::Seconds(60);

std::string Program() {
  const char* directory = getenv("QUOLL_BIN_DIR");
  return absl::StrCat(directory == nullptr ? "." : directory, "/quolld");
}

class QuolldTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteConfig("[runtimes.runc]\nprogram = \"/bin/true\"\n");
    notify_ = os::UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    NotifyPath().copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address),
                   sizeof(address)),
              0)
        << strerror(errno);
    const timeval patience{.tv_sec = 60, .tv_usec = 0};
    ASSERT_EQ(setsockopt(notify_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience,
                         sizeof(patience)),
              0);
  }
  void TearDown() override {
    if (daemon_) {
      End(SIGKILL);
    }
  }

  std::string NotifyPath() const { return directory_ / "notify"; }
  std::string ConfigPath() const { return directory_ / "quoll.toml"; }
  std::string Socket() const { return directory_ / "run/quoll.sock"; }

  // `more` follows directories of the test's own.
  void WriteConfig(const std::string& more) {
    std::ofstream(ConfigPath())
        << "state_dir = \"" << directory_ / "state"
        << "\"\n"
        << "run_dir = \"" << directory_ / "run"
        << "\"\n"
        << more << "[network]\nconf_dir = \"" << directory_ / "net"
        << "\"\n";
  }

  // The next message to the service manager.
  std::string Notified() {
    char text[512];
    const ssize_t size = recv(notify_.get(), text, sizeof(text), 0);
    return size < 0 ? strerror(errno) : std::string(text, size);
  }

  void Start() {
    const os::UniqueFd log(open(
        LogPath().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    os::SpawnRequest request;
    request.argv = {Program(), "--config", ConfigPath()};
    request.env = {"NOTIFY_SOCKET=" + NotifyPath()};
    request.fds = {{log.get(), 2}};
    absl::StatusOr<os::Pidfd> daemon = os::Spawn(request);
    ASSERT_THAT(daemon, IsOk());
    daemon_ = *std::move(daemon);
    ASSERT_THAT(Notified(), StartsWith("READY=1\n")) << Log();
  }

  os::ExitStatus End(int signo) {
    EXPECT_THAT(daemon_->Signal(signo), IsOk());
    EXPECT_THAT(daemon_->AwaitExit(absl::Now() + kPatience), IsOk());
    const absl::StatusOr<os::ExitStatus> exit = daemon_->Reap();
    EXPECT_THAT(exit, IsOk());
    daemon_.reset();
    return exit.value_or(os::ExitStatus{.code = -1});
  }

  std::string LogPath() const { return directory_ / "log"; }
  std::string Log() const { return os::ReadFile(LogPath()).value_or(""); }

  // The state directory as the daemon on the socket tells it; "" when none
  // answers.
  std::string Ask() {
    grpc::ChannelArguments arguments;
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);
    const auto stub = criv1::RuntimeService::NewStub(grpc::CreateCustomChannel(
        "unix:" + Socket(), grpc::InsecureChannelCredentials(), arguments));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         absl::ToChronoSeconds(kPatience));
    criv1::StatusRequest request;
    request.set_verbose(true);
    criv1::StatusResponse response;
    const grpc::Status status = stub->Status(&context, request, &response);
    return status.ok() ? response.info().at("config") : "";
  }

  os::CommandResult Run(const std::vector<std::string>& arguments) {
    os::CommandRequest request;
    request.spawn.argv = {Program()};
    request.spawn.argv.insert(request.spawn.argv.end(), arguments.begin(),
                              arguments.end());
    request.deadline = absl::Now() + kPatience;
    const absl::StatusOr<os::CommandResult> result = os::RunCommand(request);
    EXPECT_THAT(result, IsOk());
    return result.value_or(os::CommandResult());
  }

  ::quoll::testing::TempDir directory_;
  os::UniqueFd notify_;
  std::optional<os::Pidfd> daemon_;
};

TEST_F(QuolldTest, ServesUntilItIsToldToStop) {
  Start();
  EXPECT_THAT(Ask(), HasSubstr(directory_ / "state"));
  const os::ExitStatus exit = End(SIGTERM);
  EXPECT_EQ(exit.ShellCode(), 0) << Log();
  EXPECT_THAT(Notified(), StartsWith("STOPPING=1\n"));
  EXPECT_EQ(Ask(), "");
}

TEST_F(QuolldTest, ModesDoNotDependOnTheCallersUmask) {
  const mode_t before = umask(0077);
  Start();
  umask(before);
  EXPECT_THAT(
      os::ReadFile(absl::StrCat("/proc/", daemon_->identity().pid, "/status")),
      IsOkAndHolds(HasSubstr("Umask:\t0022\n")));
  for (const auto& [path, mode] :
       {std::pair<std::string, mode_t>{directory_ / "run", 0711},
        {directory_ / "state", 0711},
        {Socket(), 0660}}) {
    struct stat info {};
    ASSERT_EQ(stat(path.c_str(), &info), 0) << path;
    EXPECT_EQ(info.st_mode & 07777, mode) << path;
  }
}

TEST_F(QuolldTest, SecondOneOnTheSameStateIsRefused) {
  Start();
  const os::CommandResult second = Run({"--config", ConfigPath(), "run"});
  EXPECT_EQ(second.exit.ShellCode(), 1);
  EXPECT_THAT(second.err, AllOf(HasSubstr(directory_ / "state/quoll.db"),
                                HasSubstr("already running")));
  EXPECT_THAT(Ask(), HasSubstr(directory_ / "state"));
}

TEST_F(QuolldTest, OneThatWasKilledIsFollowedByTheNext) {
  Start();
  EXPECT_EQ(End(SIGKILL).signal, SIGKILL);
  EXPECT_TRUE(os::Exists(Socket()));  // what it left
  Start();
  EXPECT_THAT(Ask(), HasSubstr(directory_ / "state"));
}

TEST_F(QuolldTest, HangUpSaysHowToApplyAChange) {
  Start();
  ASSERT_THAT(daemon_->Signal(SIGHUP), IsOk());
  EXPECT_THAT(Ask(), HasSubstr(directory_ / "state"));
  // Both signals are taken by one thread, in the order of their numbers.
  EXPECT_EQ(End(SIGTERM).ShellCode(), 0);
  EXPECT_THAT(Log(), HasSubstr("SIGHUP: restart quolld"));
}

TEST_F(QuolldTest, MistakesEndItBeforeItTouchesAnything) {
  WriteConfig("[runtime]\nshm_sise = \"1MiB\"\n");
  os::CommandResult result = Run({"--config", ConfigPath()});
  EXPECT_EQ(result.exit.ShellCode(), 1);
  EXPECT_THAT(result.err,
              HasSubstr(ConfigPath() +
                        ":4:1: unknown key \"runtime.shm_sise\"; did you mean "
                        "\"runtime.shm_size\"?"));

  WriteConfig("[runtimes.runc]\nprogram = \"no-such-runtime\"\n");
  result = Run({"--config", ConfigPath()});
  EXPECT_EQ(result.exit.ShellCode(), 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("default handler runc"),
                                HasSubstr("no-such-runtime is in none of"),
                                HasSubstr("install it, or set")));
  result = Run({"--config", ConfigPath(), "config", "check"});
  EXPECT_EQ(result.exit.ShellCode(), 1);
  EXPECT_THAT(result.err, HasSubstr("not ready to run"));

  result = Run({"--config", directory_ / "none.toml"});
  EXPECT_EQ(result.exit.ShellCode(), 1);
  EXPECT_THAT(result.err, HasSubstr("none.toml: No such file"));

  EXPECT_EQ(Run({"--nonsense"}).exit.ShellCode(), 2);
  EXPECT_EQ(Run({"config"}).exit.ShellCode(), 2);
  EXPECT_FALSE(os::Exists(directory_ / "state"));
}

TEST_F(QuolldTest, ShowsAndChecksItsConfiguration) {
  os::CommandResult result = Run({"config", "dump", "--default"});
  EXPECT_EQ(result.exit.ShellCode(), 0);
  EXPECT_THAT(os::ReadFile(QUOLL_PACKAGED_CONFIG), IsOkAndHolds(result.out));

  const os::CommandResult dump =
      Run({"--config", ConfigPath(), "config", "dump"});
  EXPECT_EQ(dump.exit.ShellCode(), 0);
  std::ofstream(directory_ / "again.toml") << dump.out;
  result = Run({"--config", directory_ / "again.toml", "config", "dump"});
  EXPECT_EQ(result.out, dump.out);

  result = Run({"config", "check", ConfigPath()});
  EXPECT_EQ(result.exit.ShellCode(), 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("runtimes.runc: /bin/true"),
                                HasSubstr("The configuration is valid.")));
  result = Run({"--version"});
  EXPECT_EQ(result.exit.ShellCode(), 0);
  EXPECT_THAT(result.out, StartsWith("quolld "));
  EXPECT_FALSE(os::Exists(directory_ / "state"));
}

}  // namespace
}  // namespace quoll::cri
