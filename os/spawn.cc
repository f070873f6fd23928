// SPDX-License-Identifier: Apache-2.0
// Spawn of os/process.h.
//
// The child borrows our memory until it executes (CLONE_VM | CLONE_VFORK), so:
// everything it needs is laid out before, it calls nothing but system calls,
// and it answers by writing into this frame. Its stack is its own, for ours is
// in use; its descriptors and signal dispositions are copies.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

#include "os/process.h"
#include "os/status_macros.h"

namespace quoll::os {
namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr int kExitCodeOfFailedSpawn = 127;
constexpr int kLastSignal = 64;  // _NSIG

enum class Step {
  kNone,
  kMoveFd,
  kDupFd,
  kDevNull,
  kCgroup,
  kCloseFds,
  kSetsid,
  kChdir,
  kExec
};

struct FdMove {
  int source;
  int target;
  int high = -1;  // where the child parks it meanwhile
};

// Raw pointers only: the child must not run a constructor or destructor.
struct ChildPlan {
  char* const* argv = nullptr;
  char* const* env = nullptr;
  const char* working_dir = nullptr;
  FdMove* moves = nullptr;
  size_t move_count = 0;
  int first_free_fd = 3;          // above every target
  const int* kept_fds = nullptr;  // sorted: what is open at exec
  size_t kept_count = 0;
  const char* const* cgroup_files = nullptr;
  size_t cgroup_count = 0;
  bool new_session = false;

  // The answer.
  Step failed_step = Step::kNone;
  int error = 0;
  size_t index = 0;  // of the descriptor or cgroup file
};

// glibc's sigfillset() leaves out the two signals that it uses for
// cancellation and setuid(); here really all have to wait.
using KernelSigset = uint64_t;

long SetSignalMask(const KernelSigset* mask, KernelSigset* old) {
  return ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, old, sizeof(*mask));
}

int Fail(ChildPlan* plan, Step step, size_t index = 0) {
  plan->error = errno;
  plan->failed_step = step;
  plan->index = index;
  return kExitCodeOfFailedSpawn;
}

void ResetSignals() {
  // Before anything is unblocked: a handler of the daemon would run on the
  // daemon's memory. Exec keeps "ignored" (SIGPIPE, say), hence all of them.
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signo = 1; signo <= kLastSignal; ++signo) {
    ::sigaction(signo, &action, nullptr);  // EINVAL for KILL, STOP, 32 and 33
  }
}

// Sources may be targets of each other, so all move out of the way first.
int PlaceFds(ChildPlan* plan) {
  for (size_t i = 0; i < plan->move_count; ++i) {
    FdMove& move = plan->moves[i];
    move.high = ::fcntl(move.source, F_DUPFD_CLOEXEC, plan->first_free_fd);
    if (move.high < 0) {
      return Fail(plan, Step::kMoveFd, i);
    }
  }
  bool standard[3] = {false, false, false};
  for (size_t i = 0; i < plan->move_count; ++i) {
    const FdMove& move = plan->moves[i];
    if (::dup2(move.high, move.target) < 0) {  // without FD_CLOEXEC
      return Fail(plan, Step::kDupFd, i);
    }
    if (move.target < 3) {
      standard[move.target] = true;
    }
  }
  for (int fd = 0; fd < 3; ++fd) {
    if (standard[fd]) {
      continue;
    }
    const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    // With 0..2 closed here, open(2) may have given the very number.
    const bool placed = null_fd == fd
                            ? ::fcntl(fd, F_SETFD, 0) == 0
                            : null_fd >= 0 && ::dup2(null_fd, fd) == fd;
    if (!placed) {
      return Fail(plan, Step::kDevNull);
    }
  }
  return 0;
}

int JoinCgroups(ChildPlan* plan) {
  for (size_t i = 0; i < plan->cgroup_count; ++i) {
    const int fd = ::open(plan->cgroup_files[i], O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "0", 1) != 1) {  // "0" is the writer itself
      return Fail(plan, Step::kCgroup, i);
    }
    ::close(fd);
  }
  return 0;
}

int CloseOtherFds(ChildPlan* plan) {
  unsigned next = 0;
  for (size_t i = 0; i < plan->kept_count; ++i) {
    const auto kept = static_cast<unsigned>(plan->kept_fds[i]);
    if (kept > next && ::close_range(next, kept - 1, 0) != 0) {
      return Fail(plan, Step::kCloseFds);
    }
    next = kept + 1;
  }
  if (::close_range(next, ~0U, 0) != 0) {  // Linux 5.9
    return Fail(plan, Step::kCloseFds);
  }
  return 0;
}

// Runs in the child, on its own stack and our memory.
__attribute__((no_sanitize("address", "thread", "undefined"))) int ChildMain(
    void* argument) {
  auto* plan = static_cast<ChildPlan*>(argument);
  ResetSignals();
  if (int code = PlaceFds(plan); code != 0) {
    return code;
  }
  if (int code = JoinCgroups(plan); code != 0) {
    return code;
  }
  if (int code = CloseOtherFds(plan); code != 0) {
    return code;
  }
  if (plan->new_session && ::setsid() < 0) {
    return Fail(plan, Step::kSetsid);
  }
  if (::chdir(plan->working_dir) != 0) {
    return Fail(plan, Step::kChdir);
  }
  const KernelSigset none = 0;
  SetSignalMask(&none, nullptr);
  ::execve(plan->argv[0], plan->argv, plan->env);
  return Fail(plan, Step::kExec);
}

absl::Status CheckText(const std::vector<std::string>& list,
                       absl::string_view what) {
  for (const std::string& text : list) {
    if (text.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " with a NUL byte in it"));
    }
  }
  return absl::OkStatus();
}

absl::Status Check(const SpawnRequest& request) {
  if (request.argv.empty() || request.argv[0].empty() ||
      request.argv[0][0] != '/') {
    return absl::InvalidArgumentError(
        "start a program: its name is not an absolute path");
  }
  QUOLL_RETURN_IF_ERROR(CheckText(request.argv, "argument"));
  QUOLL_RETURN_IF_ERROR(CheckText(request.env, "environment variable"));
  QUOLL_RETURN_IF_ERROR(CheckText({request.working_dir}, "working directory"));
  std::vector<int> targets;
  for (const auto& [source, target] : request.fds) {
    if (source < 0 || target < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("start ", request.argv[0], ": descriptor ", source,
                       " as ", target, " is not valid"));
    }
    targets.push_back(target);
  }
  std::sort(targets.begin(), targets.end());
  if (std::adjacent_find(targets.begin(), targets.end()) != targets.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "start ", request.argv[0], ": one descriptor is given twice"));
  }
  return absl::OkStatus();
}

absl::Status DescribeFailure(const SpawnRequest& request,
                             const ChildPlan& plan) {
  const std::string subject = absl::StrCat("start ", request.argv[0], ": ");
  const auto status = [&](absl::string_view step) {
    return absl::ErrnoToStatus(plan.error, absl::StrCat(subject, step));
  };
  switch (plan.failed_step) {
    case Step::kMoveFd:
    case Step::kDupFd:
      return status(absl::StrCat("hand over descriptor ",
                                 request.fds[plan.index].first, " as ",
                                 request.fds[plan.index].second));
    case Step::kDevNull:
      return status("open /dev/null");
    case Step::kCgroup:
      return status(absl::StrCat("join the cgroup of ",
                                 request.cgroup_procs_files[plan.index]));
    case Step::kCloseFds:
      return status("close_range");
    case Step::kSetsid:
      return status("setsid");
    case Step::kChdir:
      return status(absl::StrCat("change to directory ", request.working_dir));
    case Step::kExec:
    case Step::kNone:
      break;
  }
  return status("execute");
}

std::vector<char*> CStrings(const std::vector<std::string>& list) {
  std::vector<char*> pointers;
  pointers.reserve(list.size() + 1);
  for (const std::string& text : list) {
    pointers.push_back(const_cast<char*>(text.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// Clones and waits until the child has executed or failed. Returns the pid.
absl::StatusOr<pid_t> Clone(ChildPlan& plan, int& pidfd) {
  const size_t guard = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t size = kStackBytes + guard;
  void* const stack =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, "map a stack");
  }
  const absl::Cleanup unmap = [&] { ::munmap(stack, size); };
  if (::mprotect(stack, guard, PROT_NONE) != 0) {  // it grows towards this end
    return absl::ErrnoToStatus(errno, "protect a stack");
  }
  // A signal that the child took here would run our handler on our memory.
  const KernelSigset all = ~KernelSigset{0};
  KernelSigset old_mask = 0;
  if (SetSignalMask(&all, &old_mask) != 0) {
    return absl::ErrnoToStatus(errno, "block signals");
  }
  const pid_t pid =
      ::clone(&ChildMain, static_cast<char*>(stack) + size,
              CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  const int error = errno;
  SetSignalMask(&old_mask, nullptr);
  if (pid < 0) {
    return absl::ErrnoToStatus(error, "clone");
  }
  return pid;
}

}  // namespace

absl::StatusOr<Pidfd> Spawn(const SpawnRequest& request) {
  QUOLL_RETURN_IF_ERROR(Check(request));
  const std::vector<char*> argv = CStrings(request.argv);
  const std::vector<char*> env = CStrings(request.env);
  const std::vector<char*> cgroups = CStrings(request.cgroup_procs_files);
  std::vector<FdMove> moves;
  std::vector<int> kept = {0, 1, 2};
  for (const auto& [source, target] : request.fds) {
    moves.push_back({source, target});
    kept.push_back(target);
  }
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());

  ChildPlan plan;
  plan.argv = argv.data();
  plan.env = env.data();
  plan.working_dir = request.working_dir.c_str();
  plan.moves = moves.data();
  plan.move_count = moves.size();
  plan.first_free_fd = kept.back() + 1;
  plan.kept_fds = kept.data();
  plan.kept_count = kept.size();
  plan.cgroup_files = cgroups.data();
  plan.cgroup_count = request.cgroup_procs_files.size();
  plan.new_session = request.new_session;

  int raw_pidfd = -1;
  const absl::StatusOr<pid_t> pid = Clone(plan, raw_pidfd);
  if (!pid.ok()) {
    return absl::Status(
        pid.status().code(),
        absl::StrCat("start ", request.argv[0], ": ", pid.status().message()));
  }
  UniqueFd fd(raw_pidfd);
  if (plan.failed_step != Step::kNone) {
    const Pidfd failed({*pid, 0}, std::move(fd));
    absl::Status status = DescribeFailure(request, plan);
    // It exits at once; only a tracer could hold it up.
    if (failed.AwaitExit(absl::InfiniteFuture()).ok()) {
      (void)failed.Reap();  // the reason is known already
    }
    return status;
  }
  // Cannot be another process: nobody but our caller reaps it.
  absl::StatusOr<ProcessIdentity> identity = IdentifyProcess(*pid);
  if (!identity.ok()) {
    const Pidfd unknown({*pid, 0}, std::move(fd));
    (void)unknown.Signal(SIGKILL);
    if (unknown.AwaitExit(absl::Now() + absl::Seconds(1)).ok()) {
      (void)unknown.Reap();
    }
    return absl::Status(identity.status().code(),
                        absl::StrCat("start ", request.argv[0], ": ",
                                     identity.status().message()));
  }
  return Pidfd(*identity, std::move(fd));
}

}  // namespace quoll::os
