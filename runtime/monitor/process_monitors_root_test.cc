// SPDX-License-Identifier: Apache-2.0
// Monitors with real runc and crun.
#include "runtime/monitor/process_monitors.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "runtime/monitor/command_oci_runtime.h"
#include "runtime/monitor/oci_command.h"
#include "tests/support/oci_bundle.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::BundleOptions;
using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

absl::Time Soon() {
  return absl::Now() + absl::Seconds(20);
}

// Polls for something another process does; there is no event to wait for.
template <typename Condition>
bool Eventually(Condition condition) {
  for (const absl::Time until = Soon(); absl::Now() < until;) {
    if (condition()) {
      return true;
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
  return false;
}

std::string Slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Processes whose command line contains `marker`, zombies excluded.
std::vector<pid_t> ProcessesWith(const std::string& marker) {
  std::vector<pid_t> found;
  DIR* const proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid) && pid != getpid() &&
        absl::StrContains(Slurp(absl::StrCat("/proc/", pid, "/cmdline")),
                          marker)) {
      found.push_back(pid);
    }
  }
  closedir(proc);
  return found;
}

class ProcessMonitorsTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    rootfs_ = new testing::TempDir;
    testing::MakeBusyboxRootfs(rootfs_->path());
  }
  static void TearDownTestSuite() {
    delete rootfs_;
    rootfs_ = nullptr;
  }

  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
    if (std::string(GetParam()) == "crun") {
      testing::HideHybridCgroup();
    }
    static std::atomic<int> count{0};
    id_ = absl::StrCat("qmt", getpid(), "x", ++count);
    bundle_ = temp_ / "bundle";
    log_ = temp_ / "log";
    cgroup_ = absl::StrCat("/quoll-monitor-test-", getpid(), "/", id_);
    program_ = {
        GetParam(), absl::StrCat("/usr/bin/", GetParam()), temp_ / "root", {}};
    if (access(program_.program.c_str(), X_OK) != 0) {
      program_.program = absl::StrCat("/usr/sbin/", GetParam());
    }
    auto loop = os::EventLoop::Create();
    ASSERT_THAT(loop, IsOk());
    loop_ = *std::move(loop);
    Restart();
  }

  void TearDown() override {
    if (monitors_ == nullptr) {
      return;
    }
    EXPECT_THAT(monitors_->Discard(id_, bundle_, program_, Soon()), IsOk());
    monitors_.reset();
    loop_.reset();
    testing::RemoveCgroups(cgroup_);
    testing::RemoveCgroups(absl::StrCat("/quoll-monitor-test-", getpid()));
    EXPECT_THAT(ProcessesWith(id_), IsEmpty());
  }

  // What a restarted daemon has: nothing but the disk.
  void Restart() {
    monitors_.reset();
    monitors_ = std::make_unique<ProcessMonitors>(
        ProcessMonitors::Options{
            absl::StrCat(getenv("QUOLL_BIN_DIR"), "/quoll-monitor")},
        *loop_);
  }

  absl::StatusOr<LaunchedContainer> Launch(std::vector<std::string> argv) {
    options_.rootfs = rootfs_->path();
    options_.argv = std::move(argv);
    options_.cgroups_path = cgroup_;
    testing::WriteBundle(bundle_, options_);
    MonitorLaunch launch;
    launch.container_id = id_;
    launch.bundle = bundle_;
    launch.runtime = program_;
    launch.log_path = log_;
    launch.tty = options_.tty;
    launch.stdin = stdin_;
    return monitors_->Launch(launch, Soon());
  }

  // Launch, watch, start.
  void Run(std::vector<std::string> argv) {
    auto launched = Launch(std::move(argv));
    ASSERT_THAT(launched, IsOk());
    container_ = *launched;
    ASSERT_THAT(Watch(), IsOk());
    ASSERT_THAT(CommandOciRuntime(program_).Start(id_, Soon()), IsOk());
  }
  void RunShell(const std::string& script) { Run({"/bin/sh", "-c", script}); }

  absl::Status Watch() {
    exit_ = std::promise<absl::StatusOr<ExitRecord>>();
    exited_ = exit_.get_future();
    return monitors_->Watch(
        id_, bundle_, container_,
        [this](const absl::StatusOr<ExitRecord>& record) {
          exit_.set_value(record);  // throws when called twice
        });
  }
  absl::StatusOr<ExitRecord> AwaitExit() {
    if (exited_.wait_for(std::chrono::seconds(20)) !=
        std::future_status::ready) {
      return absl::DeadlineExceededError("test: no exit");
    }
    return exited_.get();
  }

  absl::StatusOr<ExecResult> Exec(const std::string& script,
                                  absl::Duration timeout = absl::Seconds(20),
                                  std::function<bool()> cancelled = nullptr) {
    ExecRequest request;
    request.container_id = id_;
    request.bundle = bundle_;
    request.runtime = program_;
    nlohmann::json process = testing::MakeOciConfig(options_)["process"];
    process["args"] = {"/bin/sh", "-c", script};
    process["terminal"] = false;
    request.process_json = process.dump();
    request.init = container_.init;
    request.cgroups_path = cgroup_;
    request.max_output_bytes = max_output_;
    return monitors_->ExecSync(request, absl::Now() + timeout,
                               std::move(cancelled));
  }

  // Sub-cgroups that execs have made in the container's.
  std::vector<std::string> ExecCgroups() {
    std::vector<std::string> found;
    for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/freezer"}) {
      const auto names = os::ListDirectory(mount + cgroup_);
      if (!names.ok()) {
        continue;
      }
      for (const std::string& name : *names) {
        if (absl::StartsWith(name, "quoll-exec-")) {
          found.push_back(name);
        }
      }
    }
    return found;
  }

  // Calls `work` in a process of its own, which is killed (a daemon's crash) as
  // soon as `condition` holds.
  void KillInTheMiddle(const std::function<void()>& work,
                       const std::function<bool()>& condition) {
    const pid_t daemon = fork();
    if (daemon == 0) {
      work();
      _exit(0);
    }
    EXPECT_TRUE(Eventually(condition));
    EXPECT_EQ(kill(daemon, SIGKILL), 0);
    EXPECT_EQ(waitpid(daemon, nullptr, 0), daemon);
  }

  // The log's content without its prefixes; P parts are joined.
  std::string LogContent(const std::string& path) {
    std::string content;
    for (const auto& line : absl::StrSplit(Slurp(path), '\n')) {
      const std::vector<std::string> parts =
          absl::StrSplit(line, absl::MaxSplits(' ', 3));
      if (parts.size() == 4) {
        content += parts[3] + (parts[2] == "F" ? "\n" : "");
      }
    }
    return content;
  }

  // Files of the bundle that an exec may have left.
  std::vector<std::string> ExecFiles() {
    std::vector<std::string> found;
    const auto names = os::ListDirectory(bundle_);
    EXPECT_THAT(names, IsOk());
    for (const std::string& name : *names) {
      if (absl::StartsWith(name, "exec-")) {
        found.push_back(name);
      }
    }
    return found;
  }

  static testing::TempDir* rootfs_;
  testing::TempDir temp_;
  std::string id_;
  std::string bundle_;
  std::string log_;
  std::string cgroup_;
  OciProgram program_;
  BundleOptions options_;
  bool stdin_ = false;
  size_t max_output_ = 1 << 20;
  std::unique_ptr<os::EventLoop> loop_;
  std::unique_ptr<ProcessMonitors> monitors_;
  LaunchedContainer container_;
  std::promise<absl::StatusOr<ExitRecord>> exit_;
  std::future<absl::StatusOr<ExitRecord>> exited_;
};

testing::TempDir* ProcessMonitorsTest::rootfs_ = nullptr;

TEST_P(ProcessMonitorsTest, LogsBothStreamsAndReportsTheExitCode) {
  RunShell("echo out; echo err >&2; printf unfinished; exit 7");
  const absl::StatusOr<ExitRecord> record = AwaitExit();
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 7);
  EXPECT_EQ(record->signal, 0);
  EXPECT_FALSE(record->oom_killed);
  EXPECT_LT(absl::AbsDuration(absl::FromUnixNanos(record->finished_at_ns) -
                              absl::Now()),
            absl::Seconds(20));
  const std::string log = Slurp(log_);
  const std::string time = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{9}Z ";
  EXPECT_THAT(log, ContainsRegex(time + "stdout F out\n"));
  EXPECT_THAT(log, ContainsRegex(time + "stderr F err\n"));
  EXPECT_THAT(log, ContainsRegex(time + "stdout F unfinished\n"));
  struct stat info;
  ASSERT_EQ(stat((bundle_ + "/exit").c_str(), &info), 0);
}

TEST_P(ProcessMonitorsTest, ReportsTheSignalThatEndedIt) {
  Run({"/bin/sleep", "1000"});
  ASSERT_EQ(kill(container_.init.pid, SIGKILL), 0);
  const absl::StatusOr<ExitRecord> record = AwaitExit();
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 137);
  EXPECT_EQ(record->signal, SIGKILL);
  EXPECT_FALSE(record->oom_killed);
  // The monitor was reaped, too.
  EXPECT_TRUE(Eventually(
      [this] { return !os::IdentifyProcess(container_.monitor.pid).ok(); }));
}

TEST_P(ProcessMonitorsTest, ReportsAnOomKill) {
  options_.memory_limit_bytes = 16 << 20;
  RunShell("exec tail /dev/zero");  // keeps the last line: all of it
  const absl::StatusOr<ExitRecord> record = AwaitExit();
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 137);
  EXPECT_TRUE(record->oom_killed);
}

TEST_P(ProcessMonitorsTest, LaunchFailsWithTheRuntimesOwnWords) {
  EXPECT_THAT(Launch({"/bin/no-such-program"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(id_), HasSubstr("/bin/no-such-program"),
                             HasSubstr(GetParam()))));
  EXPECT_FALSE(MayHaveOciState(program_, id_));
  EXPECT_THAT(ProcessesWith(id_), IsEmpty());
}

TEST_P(ProcessMonitorsTest, LaunchFailsWhenTheLogCannotBeOpened) {
  log_ = temp_ / "missing/log";
  EXPECT_THAT(Launch({"/bin/true"}),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr(log_), HasSubstr("No such file"))));
}

TEST_P(ProcessMonitorsTest, LaunchFailsWhenTheRuntimeCannotRun) {
  program_.program = temp_ / "no-runtime";
  EXPECT_THAT(Launch({"/bin/true"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("cannot be executed: No such file")));
}

// At the deadline nothing of a runtime that hangs is left.
TEST_P(ProcessMonitorsTest, LaunchGivesUpOnARuntimeThatHangs) {
  const std::string script = temp_ / "hangs";
  std::ofstream(script) << "#!/bin/sh\nexec sleep 1000 # $@\n";
  ASSERT_EQ(chmod(script.c_str(), 0755), 0);
  testing::WriteBundle(bundle_, {rootfs_->path(), {"/bin/true"}, cgroup_});
  MonitorLaunch launch;
  launch.container_id = id_;
  launch.bundle = bundle_;
  launch.runtime = {"hangs", script, temp_ / "root", {}};
  EXPECT_THAT(monitors_->Launch(launch, absl::Now() + absl::Milliseconds(300)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr(id_)));
  EXPECT_TRUE(
      Eventually([this] { return ProcessesWith(temp_.path()).empty(); }));
}

TEST_P(ProcessMonitorsTest, ARestartedDaemonGetsTheExit) {
  Run({"/bin/sleep", "1000"});
  Restart();
  ASSERT_THAT(Watch(), IsOk());
  ASSERT_EQ(kill(container_.init.pid, SIGKILL), 0);
  const absl::StatusOr<ExitRecord> record = AwaitExit();
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 137);
}

TEST_P(ProcessMonitorsTest, AnExitWhileTheDaemonWasAwayIsReported) {
  RunShell("exit 3");
  ASSERT_THAT(AwaitExit(), IsOk());
  Restart();
  ASSERT_THAT(Watch(), IsOk());
  const absl::StatusOr<ExitRecord> record = AwaitExit();
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 3);
}

TEST_P(ProcessMonitorsTest, AKilledMonitorIsDataLossWhenTheInitEnds) {
  Run({"/bin/sleep", "1000"});
  ASSERT_EQ(kill(container_.monitor.pid, SIGKILL), 0);
  ASSERT_TRUE(Eventually(
      [this] { return !os::IdentifyProcess(container_.monitor.pid).ok(); }));
  // The container lives on and is still watched.
  EXPECT_EQ(exited_.wait_for(std::chrono::milliseconds(50)),
            std::future_status::timeout);
  EXPECT_THAT(os::IdentifyProcess(container_.init.pid), IsOk());
  ASSERT_EQ(kill(container_.init.pid, SIGKILL), 0);
  EXPECT_THAT(AwaitExit(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("monitor")));
}

TEST_P(ProcessMonitorsTest, WatchFindsNothingAfterAReboot) {
  std::filesystem::create_directories(bundle_);
  container_ = {{1 << 22, 7}, {(1 << 22) + 1, 8}};
  EXPECT_THAT(Watch(), StatusIs(absl::StatusCode::kNotFound, HasSubstr(id_)));
}

TEST_P(ProcessMonitorsTest, ADamagedExitRecordIsDataLoss) {
  std::filesystem::create_directories(bundle_);
  std::ofstream(bundle_ + "/exit") << "quoll-exit 1\nexit_code";
  container_ = {{1 << 22, 7}, {(1 << 22) + 1, 8}};
  ASSERT_THAT(Watch(), IsOk());
  EXPECT_THAT(AwaitExit(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_P(ProcessMonitorsTest, UnwatchedMeansNotCalled) {
  Run({"/bin/sleep", "1000"});
  monitors_->Unwatch(id_);
  ASSERT_EQ(kill(container_.init.pid, SIGKILL), 0);
  ASSERT_TRUE(Eventually(
      [this] { return !os::IdentifyProcess(container_.monitor.pid).ok(); }));
  EXPECT_EQ(exited_.wait_for(std::chrono::milliseconds(20)),
            std::future_status::timeout);
}

TEST_P(ProcessMonitorsTest, ReopensTheLogWithoutLosingALine) {
  RunShell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done");
  for (int i = 0; i < 20; ++i) {
    std::filesystem::rename(log_, absl::StrCat(log_, ".", i));
    const absl::Status status = monitors_->ReopenLog(bundle_, Soon());
    if (absl::IsNotFound(status)) {
      break;  // it has ended
    }
    ASSERT_THAT(status, IsOk());
  }
  ASSERT_THAT(AwaitExit(), IsOk());
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += LogContent(absl::StrCat(log_, ".", i));
  }
  all += LogContent(log_);
  std::string want;
  for (int i = 0; i < 20000; ++i) {
    absl::StrAppend(&want, "line ", i, "\n");
  }
  EXPECT_TRUE(all == want) << all.size() << " of " << want.size();
}

TEST_P(ProcessMonitorsTest, ReopenWithoutAMonitorIsNotFound) {
  std::filesystem::create_directories(bundle_);
  EXPECT_THAT(monitors_->ReopenLog(bundle_, Soon()),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ProcessMonitorsTest, ReopenGivesUpOnAMonitorThatIsStopped) {
  Run({"/bin/sleep", "1000"});
  ASSERT_EQ(kill(container_.monitor.pid, SIGSTOP), 0);
  EXPECT_THAT(
      monitors_->ReopenLog(bundle_, absl::Now() + absl::Milliseconds(100)),
      StatusIs(absl::StatusCode::kDeadlineExceeded));
  ASSERT_EQ(kill(container_.monitor.pid, SIGCONT), 0);
  EXPECT_THAT(monitors_->ReopenLog(bundle_, Soon()), IsOk());
}

TEST_P(ProcessMonitorsTest, ReopenReportsAPathThatIsGone) {
  std::filesystem::create_directory(temp_ / "logs");
  log_ = temp_ / "logs/log";
  Run({"/bin/sleep", "1000"});
  std::filesystem::remove_all(temp_ / "logs");
  EXPECT_THAT(monitors_->ReopenLog(bundle_, Soon()),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ProcessMonitorsTest, SplitsLongLinesAndKeepsTheirBytes) {
  RunShell("head -c 100000 /dev/zero; echo end");
  ASSERT_THAT(AwaitExit(), IsOk());
  EXPECT_EQ(LogContent(log_), std::string(100000, '\0') + "end\n");
  for (const auto& line : absl::StrSplit(Slurp(log_), '\n')) {
    EXPECT_LE(line.size(), 16384u + 50);
  }
}

TEST_P(ProcessMonitorsTest, AnUnfinishedLineIsLoggedAfterAWhile) {
  RunShell("printf 'prompt> '; sleep 1000");
  EXPECT_TRUE(Eventually([this] {
    return absl::StrContains(Slurp(log_), " stdout P prompt> \n");
  }));
}

TEST_P(ProcessMonitorsTest, ATerminalIsOneStream) {
  options_.tty = true;
  RunShell("tty; echo err >&2; exit 4");
  const absl::StatusOr<ExitRecord> record = AwaitExit();
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 4);
  EXPECT_THAT(LogContent(log_),
              AllOf(HasSubstr("/dev/pts/0\r\n"), HasSubstr("err\r\n")));
  EXPECT_THAT(Slurp(log_), Not(HasSubstr(" stderr ")));
}

TEST_P(ProcessMonitorsTest, WithStdinACommandWaitsForInput) {
  stdin_ = true;
  Run({"/bin/cat"});
  EXPECT_EQ(exited_.wait_for(std::chrono::milliseconds(100)),
            std::future_status::timeout);
}

TEST_P(ProcessMonitorsTest, WithoutStdinACommandSeesItsEnd) {
  Run({"/bin/cat"});
  EXPECT_THAT(AwaitExit(), IsOk());
}

TEST_P(ProcessMonitorsTest, WithoutALogPathOutputIsDrained) {
  log_ = "";
  RunShell("yes | head -c 1000000; exit 5");
  const absl::StatusOr<ExitRecord> record = AwaitExit();
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 5);
}

// Without a PID namespace of its own, nothing kills what the init left but us.
TEST_P(ProcessMonitorsTest, KillsLeftoversWithoutAPidNamespace) {
  options_.own_pid_namespace = false;
  const std::string marker = absl::StrCat("10", getpid());
  RunShell("setsid sleep " + marker + " & sleep 0.05; exit 6");
  const absl::StatusOr<ExitRecord> record = AwaitExit();
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 6);
  EXPECT_THAT(ProcessesWith(marker), IsEmpty());
}

TEST_P(ProcessMonitorsTest, DiscardEndsARunningContainerAndIsRepeatable) {
  Run({"/bin/sleep", "1000"});
  ASSERT_THAT(monitors_->Discard(id_, bundle_, program_, Soon()), IsOk());
  EXPECT_FALSE(os::IdentifyProcess(container_.monitor.pid).ok());
  EXPECT_TRUE(Eventually([this] {
    return !os::Pidfd::Open(container_.init).ok() ||
           os::Pidfd::Open(container_.init)->HasExited();
  }));
  EXPECT_FALSE(MayHaveOciState(program_, id_));
  EXPECT_THAT(monitors_->Discard(id_, bundle_, program_, Soon()), IsOk());
}

TEST_P(ProcessMonitorsTest, DiscardOfAContainerThatWasNeverStarted) {
  ASSERT_THAT(Launch({"/bin/true"}), IsOk());
  EXPECT_THAT(monitors_->Discard(id_, bundle_, program_, Soon()), IsOk());
  EXPECT_FALSE(MayHaveOciState(program_, id_));
}

TEST_P(ProcessMonitorsTest, ExecCollectsOutputAndCode) {
  Run({"/bin/sleep", "1000"});
  const absl::StatusOr<ExecResult> result =
      Exec("echo out; echo err >&2; exit 42");
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->exit_code, 42);
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_THAT(ExecFiles(), IsEmpty());
  EXPECT_THAT(ExecCgroups(), IsEmpty());
}

// The exec is accounted where the container is, in every hierarchy.
TEST_P(ProcessMonitorsTest, ExecRunsInTheContainersCgroups) {
  Run({"/bin/sleep", "1000"});
  const std::string init =
      Slurp(absl::StrCat("/proc/", container_.init.pid, "/cgroup"));
  const absl::StatusOr<ExecResult> result = Exec("cat /proc/self/cgroup");
  ASSERT_THAT(result, IsOk());
  for (const auto& piece : absl::StrSplit(init, '\n')) {
    const std::string line(piece);
    // With the sub-cgroup of the freezer, or of cgroup2.
    EXPECT_THAT(result->out, HasSubstr(line));
  }
}

TEST_P(ProcessMonitorsTest, ExecReportsASignal) {
  Run({"/bin/sleep", "1000"});
  const absl::StatusOr<ExecResult> result = Exec("kill -9 $$");
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->exit_code, 137);
}

TEST_P(ProcessMonitorsTest, ExecOfAMissingCommandHasTheRuntimesWords) {
  Run({"/bin/sleep", "1000"});
  ExecRequest request;
  request.container_id = id_;
  request.bundle = bundle_;
  request.runtime = program_;
  nlohmann::json process = testing::MakeOciConfig(options_)["process"];
  process["args"] = {"no-such-command"};
  request.process_json = process.dump();
  request.init = container_.init;
  EXPECT_THAT(monitors_->ExecSync(request, Soon(), nullptr),
              StatusIs(absl::StatusCode::kUnknown,
                       AllOf(HasSubstr(id_), HasSubstr("no-such-command"))));
  EXPECT_THAT(ExecFiles(), IsEmpty());
}

TEST_P(ProcessMonitorsTest, ExecInAnEndedContainerIsRefused) {
  RunShell("exit 0");
  ASSERT_THAT(AwaitExit(), IsOk());
  EXPECT_THAT(Exec("true"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr("not running")));
}

// Double forks are reparented to the container's init; they go, the container
// stays.
TEST_P(ProcessMonitorsTest, ExecPastItsTimeoutLeavesNoProcess) {
  Run({"/bin/sleep", "1000"});
  const std::string marker = absl::StrCat("20", getpid());
  const absl::Time before = absl::Now();
  EXPECT_THAT(Exec("(setsid sleep " + marker + " &) ; (sleep " + marker +
                       " &); trap '' TERM INT; sleep " + marker,
                   absl::Milliseconds(400)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
  EXPECT_THAT(ProcessesWith(marker), IsEmpty());
  EXPECT_THAT(os::IdentifyProcess(container_.init.pid), IsOk());
  EXPECT_THAT(Exec("true"), IsOk());
  EXPECT_THAT(ExecFiles(), IsEmpty());
  EXPECT_THAT(ExecCgroups(), IsEmpty());
}

TEST_P(ProcessMonitorsTest, AnExecWhoseDaemonDiesLeavesNoProcess) {
  Run({"/bin/sleep", "1000"});
  ASSERT_THAT(Exec("true"), IsOk());
  const std::string marker = absl::StrCat("25", getpid());
  KillInTheMiddle(
      [&] { (void)Exec("(setsid sleep " + marker + " &); sleep " + marker); },
      [&] { return ProcessesWith(marker).size() >= 2; });
  EXPECT_TRUE(Eventually([&] {
    return ProcessesWith(marker).empty() && ExecFiles().empty() &&
           ExecCgroups().empty();
  }));
  EXPECT_THAT(os::IdentifyProcess(container_.init.pid), IsOk());
}

// The next daemon takes a container whose Launch never returned for not made.
TEST_P(ProcessMonitorsTest, ALaunchWhoseDaemonDiesIsUndone) {
  const std::string script = temp_ / "slow";
  std::ofstream(script) << "#!/bin/sh\ncase \"$*\" in *create*) sleep 1000 ;; "
                           "*) exec "
                        << program_.program << " \"$@\" ;; esac\n";
  ASSERT_EQ(chmod(script.c_str(), 0755), 0);
  program_.program = script;
  KillInTheMiddle([&] { (void)Launch({"/bin/true"}); },
                  [&] { return ProcessesWith(script).size() >= 1; });
  EXPECT_TRUE(Eventually([&] { return ProcessesWith(id_).empty(); }));
}

TEST_P(ProcessMonitorsTest, ExecWithoutAPidNamespaceLeavesNoProcessEither) {
  options_.own_pid_namespace = false;
  Run({"/bin/sleep", "1000"});
  const std::string marker = absl::StrCat("21", getpid());
  EXPECT_THAT(Exec("(setsid sleep " + marker + " &); sleep " + marker,
                   absl::Milliseconds(400)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(ProcessesWith(marker), IsEmpty());
  EXPECT_THAT(os::IdentifyProcess(container_.init.pid), IsOk());
}

TEST_P(ProcessMonitorsTest, ACancelledExecLeavesNoProcess) {
  Run({"/bin/sleep", "1000"});
  const std::string marker = absl::StrCat("22", getpid());
  EXPECT_THAT(
      Exec("(setsid sleep " + marker + " &); sleep " + marker,
           absl::Seconds(20), [&] { return !ProcessesWith(marker).empty(); }),
      StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(ProcessesWith(marker), IsEmpty());
}

TEST_P(ProcessMonitorsTest, AnExecWhoseMonitorIsKilledLeavesNoProcess) {
  Run({"/bin/sleep", "1000"});
  const std::string marker = absl::StrCat("23", getpid());
  std::thread killer([&] {
    EXPECT_TRUE(Eventually([&] { return ProcessesWith(marker).size() >= 2; }));
    for (const pid_t pid : ProcessesWith("quoll-monitor")) {
      const std::string line = Slurp(absl::StrCat("/proc/", pid, "/cmdline"));
      if (absl::StrContains(line, std::string("exec\0", 5) + id_)) {
        kill(pid, SIGKILL);
      }
    }
  });
  EXPECT_THAT(Exec("(setsid sleep " + marker + " &); sleep " + marker),
              StatusIs(absl::StatusCode::kUnavailable));
  killer.join();
  EXPECT_THAT(ProcessesWith(marker), IsEmpty());
  EXPECT_THAT(ExecFiles(), IsEmpty());
}

TEST_P(ProcessMonitorsTest, TooMuchOutputIsRefusedAndKilled) {
  Run({"/bin/sleep", "1000"});
  max_output_ = 100'000;
  const std::string marker = absl::StrCat("yes ", id_);
  EXPECT_THAT(Exec("yes " + id_),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Exec("head -c 100000 /dev/zero"), IsOk());
}

// As with other runtimes, what an exec leaves behind on purpose stays; it does
// not keep the call from ending though it holds the pipes.
TEST_P(ProcessMonitorsTest, WhatAnExecLeavesInTheBackgroundLivesOn) {
  Run({"/bin/sleep", "1000"});
  const std::string marker = absl::StrCat("24", getpid());
  const absl::StatusOr<ExecResult> result =
      Exec("(setsid sleep " + marker + " &); echo started");
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "started\n");
  EXPECT_THAT(ExecCgroups(), IsEmpty());
  EXPECT_EQ(ProcessesWith(marker).size(), 1u);
}

TEST_P(ProcessMonitorsTest, ManyExecsAtOnce) {
  Run({"/bin/sleep", "1000"});
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      const absl::StatusOr<ExecResult> result =
          Exec(absl::StrCat("echo ", i, "; exit ", i));
      ASSERT_THAT(result, IsOk());
      EXPECT_EQ(result->out, absl::StrCat(i, "\n"));
      EXPECT_EQ(result->exit_code, i);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_P(ProcessMonitorsTest, TheOciRuntimeCommandsAreIdempotent) {
  Run({"/bin/sleep", "1000"});
  CommandOciRuntime runtime(program_);
  EXPECT_THAT(runtime.Version(Soon()), IsOk());
  EXPECT_THAT(runtime.Update(id_, R"({"pids":{"limit":77}})", Soon()), IsOk());
  EXPECT_THAT(runtime.Delete(id_, /*force=*/false, Soon()), Not(IsOk()));
  EXPECT_THAT(runtime.KillAll(id_, SIGKILL, Soon()), IsOk());
  ASSERT_THAT(AwaitExit(), IsOk());
  EXPECT_THAT(runtime.KillAll(id_, SIGKILL, Soon()), IsOk());
  EXPECT_THAT(runtime.Delete(id_, /*force=*/false, Soon()), IsOk());
  EXPECT_THAT(runtime.Delete(id_, /*force=*/true, Soon()), IsOk());
  EXPECT_THAT(runtime.KillAll(id_, SIGKILL, Soon()), IsOk());
  EXPECT_THAT(runtime.Start(id_, Soon()),
              StatusIs(absl::StatusCode::kNotFound));
}

std::string HandlerName(const ::testing::TestParamInfo<const char*>& info) {
  return info.param;
}
INSTANTIATE_TEST_SUITE_P(Runc, ProcessMonitorsTest, ::testing::Values("runc"),
                         HandlerName);
// After runc's: it changes the mount namespace of the process.
INSTANTIATE_TEST_SUITE_P(Crun, ProcessMonitorsTest, ::testing::Values("crun"),
                         HandlerName);

}  // namespace
}  // namespace quoll::runtime
