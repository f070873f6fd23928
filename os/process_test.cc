// SPDX-License-Identifier: Apache-2.0
#include "os/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::os {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

SpawnRequest Shell(const std::string& script) {
  SpawnRequest request;
  request.argv = {"/bin/sh", "-c", script};
  request.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  return request;
}

CommandRequest ShellCommand(const std::string& script) {
  CommandRequest request;
  request.spawn = Shell(script);
  request.deadline = absl::Now() + absl::Seconds(60);
  return request;
}

std::string OutputOf(const std::string& script) {
  const auto result = RunCommand(ShellCommand(script));
  EXPECT_THAT(result, IsOk());
  return result.ok() ? result->out : "";
}

void AwaitAndReap(const Pidfd& child) {
  ASSERT_THAT(child.AwaitExit(absl::Now() + absl::Seconds(60)), IsOk());
  ASSERT_THAT(child.Reap(), IsOk());
}

TEST(IdentifyProcessTest, FindsItselfAndNobody) {
  const auto self = IdentifyProcess(getpid());
  ASSERT_THAT(self, IsOk());
  EXPECT_EQ(self->pid, getpid());
  EXPECT_GT(self->start_time_ticks, 0u);
  EXPECT_THAT(IdentifyProcess(0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(IdentifyProcess(1 << 30), StatusIs(absl::StatusCode::kNotFound));
}

TEST(IdentifyProcessTest, SurvivesAHostileProgramName) {
  TempDir dir;
  const std::string program = dir / ") R 1 (x) 9";
  ASSERT_EQ(symlink("/bin/sleep", program.c_str()), 0);
  SpawnRequest request;
  request.argv = {program, "1000"};
  const auto child = Spawn(request);
  ASSERT_THAT(child, IsOk());
  EXPECT_THAT(Pidfd::Open(child->identity()), IsOk());
  EXPECT_THAT(child->Signal(SIGKILL), IsOk());
  AwaitAndReap(*child);
}

TEST(PidfdTest, RefusesAnotherProcessOfTheSamePid) {
  auto identity = IdentifyProcess(getpid());
  ASSERT_THAT(identity, IsOk());
  EXPECT_THAT(Pidfd::Open(*identity), IsOk());
  ++identity->start_time_ticks;
  EXPECT_THAT(Pidfd::Open(*identity), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Pidfd::Open({0, 0}), StatusIs(absl::StatusCode::kNotFound));
}

TEST(PidfdTest, SignalsAwaitsAndReaps) {
  const auto child = Spawn(Shell("exec sleep 1000"));
  ASSERT_THAT(child, IsOk());
  EXPECT_FALSE(child->HasExited());
  EXPECT_THAT(child->Reap(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(child->AwaitExit(absl::Now() + absl::Milliseconds(5)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(child->Signal(SIGTERM), IsOk());
  EXPECT_THAT(child->AwaitExit(absl::InfiniteFuture()), IsOk());
  EXPECT_TRUE(child->HasExited());
  EXPECT_THAT(child->Signal(SIGTERM), IsOk());  // a zombie
  const auto status = child->Reap();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->signal, SIGTERM);
  EXPECT_EQ(status->ShellCode(), 128 + SIGTERM);
  EXPECT_THAT(child->Signal(SIGTERM), IsOk());  // gone
  EXPECT_THAT(child->Reap(), StatusIs(absl::StatusCode::kNotFound));
}

TEST(PidfdTest, IsClosedOnExec) {
  const auto child = Spawn(Shell("exit 0"));
  ASSERT_THAT(child, IsOk());
  EXPECT_NE(fcntl(child->fd(), F_GETFD) & FD_CLOEXEC, 0);
  AwaitAndReap(*child);
}

TEST(SpawnTest, NamesTheFailedStep) {
  SpawnRequest request;
  EXPECT_THAT(Spawn(request), StatusIs(absl::StatusCode::kInvalidArgument));
  request.argv = {"true"};
  EXPECT_THAT(Spawn(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("absolute")));
  request.argv = {"/nowhere/program"};
  EXPECT_THAT(
      Spawn(request),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr("/nowhere/program"), HasSubstr("execute"),
                     HasSubstr("No such file or directory"))));
  request.argv = {"/bin/true"};
  request.working_dir = "/nowhere";
  EXPECT_THAT(Spawn(request), StatusIs(absl::StatusCode::kNotFound,
                                       HasSubstr("change to directory")));
  request.working_dir = "/";
  request.fds = {{9999, 5}};
  EXPECT_THAT(Spawn(request), StatusIs(::testing::_, HasSubstr("9999")));
  request.fds = {{0, 5}, {1, 5}};
  EXPECT_THAT(Spawn(request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
  request.fds.clear();
  request.cgroup_procs_files = {"/nowhere/cgroup.procs"};
  EXPECT_THAT(Spawn(request), StatusIs(absl::StatusCode::kNotFound,
                                       HasSubstr("/nowhere/cgroup.procs")));
  request.cgroup_procs_files.clear();
  request.argv = {"/bin/true", std::string("a\0b", 3)};
  EXPECT_THAT(Spawn(request), StatusIs(absl::StatusCode::kInvalidArgument));
  // No failed child was left behind.
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(SpawnTest, WritesZeroToTheCgroupFiles) {
  TempDir dir;
  for (const char* name : {"a", "b"}) {
    ASSERT_THAT(ReplaceFile(dir / name, "", 0600), IsOk());
  }
  SpawnRequest request = Shell("exit 0");
  request.cgroup_procs_files = {dir / "a", dir / "b"};
  const auto child = Spawn(request);
  ASSERT_THAT(child, IsOk());
  AwaitAndReap(*child);
  EXPECT_EQ(ReadFile(dir / "a").value_or(""), "0");
  EXPECT_EQ(ReadFile(dir / "b").value_or(""), "0");
}

TEST(SpawnTest, SwapsDescriptorsAndClosesTheRest) {
  TempDir dir;
  ASSERT_THAT(ReplaceFile(dir / "a", "A", 0600), IsOk());
  ASSERT_THAT(ReplaceFile(dir / "b", "B", 0600), IsOk());
  const UniqueFd a(open((dir / "a").c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd b(open((dir / "b").c_str(), O_RDONLY | O_CLOEXEC));
  // Neither close-on-exec nor asked for: must not get through.
  const UniqueFd leaked(open("/dev/zero", O_RDONLY));
  ASSERT_GE(leaked.get(), 0);
  CommandRequest request = ShellCommand(absl::StrCat(
      "cat <&", a.get(), "; cat <&", b.get(), "; echo; ls /proc/$$/fd"));
  request.spawn.fds = {{a.get(), b.get()}, {b.get(), a.get()}};
  const auto result = RunCommand(request);
  ASSERT_THAT(result, IsOk());
  const std::vector<std::string> lines =
      absl::StrSplit(result->out, '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, ::testing::UnorderedElementsAre("BA", "0", "1", "2",
                                                     absl::StrCat(a.get()),
                                                     absl::StrCat(b.get())));
}

TEST(SpawnTest, GivesDevNullForMissingStandardDescriptors) {
  TempDir dir;
  const UniqueFd out(
      open((dir / "o").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  SpawnRequest request = Shell(
      "x=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo \"$x\" "
      ">&7");
  request.fds = {{out.get(), 7}};
  const auto child = Spawn(request);
  ASSERT_THAT(child, IsOk());
  AwaitAndReap(*child);
  EXPECT_EQ(ReadFile(dir / "o").value_or(""),
            "/dev/null\n/dev/null\n/dev/null\n");
}

TEST(SpawnTest, ResetsSignalsAndKeepsOurs) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigset_t old_mask;
  pthread_sigmask(SIG_BLOCK, &mask, &old_mask);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction old_pipe;
  sigaction(SIGPIPE, &ignore, &old_pipe);

  // Of a program that changes nothing itself.
  CommandRequest request;
  request.spawn.argv = {"/bin/grep", "^Sig[BI]", "/proc/self/status"};
  const auto result = RunCommand(request);

  sigset_t now;
  pthread_sigmask(SIG_SETMASK, &old_mask, &now);
  struct sigaction pipe_now;
  sigaction(SIGPIPE, &old_pipe, &pipe_now);
  EXPECT_TRUE(sigismember(&now, SIGUSR1));
  EXPECT_EQ(pipe_now.sa_handler, SIG_IGN);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out,
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(SpawnTest, InheritsNoEnvironmentAndUsesTheDirectory) {
  CommandRequest request;
  request.spawn.argv = {"/usr/bin/env"};
  request.spawn.env = {"A=1"};
  EXPECT_EQ(RunCommand(request)->out, "A=1\n");
  request.spawn.argv = {"/bin/pwd"};
  request.spawn.working_dir = "/usr";
  EXPECT_EQ(RunCommand(request)->out, "/usr\n");
}

TEST(SpawnTest, WorksFromManyThreadsThatEnd) {
  std::vector<std::thread> threads;
  std::vector<int> codes(8, -1);
  for (size_t i = 0; i < codes.size(); ++i) {
    threads.emplace_back([&codes, i] {
      for (int round = 0; round < 20; ++round) {
        const auto result = RunCommand(ShellCommand(absl::StrCat("exit ", i)));
        codes[i] = result.ok() ? result->exit.code : -1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_THAT(codes, ::testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(RunCommandTest, CollectsBothStreamsAndTheCode) {
  const auto result =
      RunCommand(ShellCommand("echo out; echo err >&2; exit 3"));
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->exit.code, 3);
  EXPECT_FALSE(result->truncated);
  EXPECT_EQ(RunCommand(ShellCommand("kill -9 $$"))->exit.signal, SIGKILL);
}

TEST(RunCommandTest, FeedsInputLargerThanAPipe) {
  CommandRequest request = ShellCommand("wc -c");
  request.input.assign(3 << 20, 'x');
  EXPECT_EQ(RunCommand(request)->out, "3145728\n");
  // Nobody reads it: no SIGPIPE here, no wait.
  request.spawn = Shell("exit 0");
  EXPECT_THAT(RunCommand(request), IsOk());
}

TEST(RunCommandTest, DropsOutputOverTheLimitWithoutBlockingTheChild) {
  CommandRequest request =
      ShellCommand("head -c 3000000 /dev/zero; echo done >&2");
  request.max_output_bytes = 1000;
  const auto result = RunCommand(request);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->out.size(), 1000u);
  EXPECT_TRUE(result->truncated);
  EXPECT_EQ(result->err, "done\n");
}

TEST(RunCommandTest, KillsTheWholeGroupAtTheDeadline) {
  // The fifo's reader sees the end of file only once every process that the
  // command started has let go of it.
  TempDir dir;
  const std::string fifo = dir / "alive";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const UniqueFd reader(open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  CommandRequest request = ShellCommand(absl::StrCat(
      "exec 9>", fifo, "; echo trouble >&2; sleep 1000 & sleep 1000; wait"));
  request.deadline = absl::Now() + absl::Milliseconds(300);
  EXPECT_THAT(RunCommand(request),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("/bin/sh"), HasSubstr("trouble"))));
  ASSERT_EQ(fcntl(reader.get(), F_SETFL, 0), 0);
  char byte;
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);
}

TEST(RunCommandTest, EndsWhenItIsCancelled) {
  const UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  ASSERT_TRUE(cancel.valid());
  CommandRequest request = ShellCommand("exec sleep 1000");
  request.cancel_fd = cancel.get();
  std::thread canceller([&] { EXPECT_EQ(eventfd_write(cancel.get(), 1), 0); });
  EXPECT_THAT(RunCommand(request), StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
}

TEST(RunCommandTest, KillsAChildThatWritesWithoutEnd) {
  CommandRequest request = ShellCommand("exec cat /dev/zero");
  request.deadline = absl::Now() + absl::Milliseconds(100);
  EXPECT_THAT(RunCommand(request),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(RunCommandTest, DoesNotWaitForAGrandchildThatHoldsThePipes) {
  CommandRequest request = ShellCommand("sleep 1000 & echo $!");
  request.drain = absl::Milliseconds(50);
  const absl::Time start = absl::Now();
  const auto result = RunCommand(request);
  ASSERT_THAT(result, IsOk());
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
  int pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(result->out, &pid));
  EXPECT_EQ(kill(pid, SIGKILL), 0);
}

TEST(RunCommandTest, RefusesWhatItCannotDo) {
  CommandRequest request = ShellCommand("exit 0");
  request.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_THAT(RunCommand(request),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  request = ShellCommand("exit 0");
  request.spawn.fds = {{0, 1}};
  EXPECT_THAT(RunCommand(request),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(OutputOf("echo still works"), "still works\n");
}

}  // namespace
}  // namespace quoll::os
