// SPDX-License-Identifier: Apache-2.0
#include "os/event_loop.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

#include "os/unique_fd.h"
#include "spdlog/spdlog.h"

namespace quoll::os {
namespace {

// Timers run on the monotonic clock: with the wall clock, setting the time back
// by an hour would put every retry off by an hour.
using SteadyTime = std::chrono::steady_clock::time_point;

// The eventfd that ends epoll_wait(2) early; tokens given out start at 1.
constexpr EventLoop::Token kWakeToken = 0;

// One year: far enough to mean "never", near enough to add to any clock.
constexpr absl::Duration kFarAway = absl::Hours(24 * 365);

SteadyTime ToSteady(absl::Time when) {
  const absl::Duration left =
      std::clamp(when - absl::Now(), absl::ZeroDuration(), kFarAway);
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(left);
}

}  // namespace

struct EventLoop::Impl {
  struct Watch {
    int fd;
    Callback callback;
  };
  using Work = std::function<void()>;

  UniqueFd epoll;
  UniqueFd wake;
  std::thread thread;

  absl::Mutex mu;
  // Shared only with the loop thread while it runs the callback, so that a
  // callback may remove itself without destroying what is being executed.
  absl::flat_hash_map<Token, std::shared_ptr<Watch>> watches
      ABSL_GUARDED_BY(mu);
  Token last_token ABSL_GUARDED_BY(mu) = kWakeToken;
  // Whose callback runs now, if any. kWakeToken: none.
  Token running ABSL_GUARDED_BY(mu) = kWakeToken;
  std::vector<Work> posted ABSL_GUARDED_BY(mu);
  std::multimap<SteadyTime, Work> timers ABSL_GUARDED_BY(mu);
  bool stopping ABSL_GUARDED_BY(mu) = false;

  void Loop();
  void Dispatch(Token token, uint32_t events);
  void RunDueWork();
  int TimeoutMs();
  bool Stopping() {
    absl::MutexLock lock(&mu);
    return stopping;
  }
  void Wake();
  void DrainWake();
};

void EventLoop::Impl::Wake() {
  const uint64_t one = 1;
  // EAGAIN means that the counter is full, so the loop is awake already.
  if (write(wake.get(), &one, sizeof one) < 0 && errno != EAGAIN) {
    spdlog::error("event loop: wake: errno {}", errno);
  }
}

void EventLoop::Impl::DrainWake() {
  uint64_t count = 0;
  // EAGAIN: somebody's wake-up was taken by an earlier read. Nothing is lost,
  // because queues are looked at after every round.
  if (read(wake.get(), &count, sizeof count) < 0 && errno != EAGAIN) {
    spdlog::error("event loop: drain wake-ups: errno {}", errno);
  }
}

int EventLoop::Impl::TimeoutMs() {
  absl::MutexLock lock(&mu);
  if (!posted.empty() || stopping) {
    return 0;
  }
  if (timers.empty()) {
    return -1;
  }
  // Rounded up: rounding down would spin through the last millisecond.
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(
          timers.begin()->first - std::chrono::steady_clock::now())
          .count();
  return static_cast<int>(
      std::clamp<int64_t>(left, 0, std::numeric_limits<int>::max()));
}

void EventLoop::Impl::Dispatch(Token token, uint32_t events) {
  std::shared_ptr<Watch> watch;
  {
    absl::MutexLock lock(&mu);
    // Removed after epoll_wait(2) had returned it: tokens are never reused, so
    // this cannot be somebody else's watch on a recycled descriptor.
    const auto it = watches.find(token);
    if (it == watches.end()) {
      return;
    }
    watch = it->second;
    running = token;
  }
  watch->callback(events);
  // Before "not running": Remove() promises that what the callback captured is
  // not in use any more.
  watch.reset();
  absl::MutexLock lock(&mu);
  running = kWakeToken;
}

void EventLoop::Impl::RunDueWork() {
  std::vector<Work> due;
  {
    absl::MutexLock lock(&mu);
    // Swapped, not run until empty: work that posts itself again must not keep
    // descriptors from being served.
    due.swap(posted);
    const auto end = timers.upper_bound(std::chrono::steady_clock::now());
    for (auto it = timers.begin(); it != end; ++it) {
      due.push_back(std::move(it->second));
    }
    timers.erase(timers.begin(), end);
  }
  for (Work& work : due) {
    work();
    work = nullptr;
    if (Stopping()) {
      return;
    }
  }
}

void EventLoop::Impl::Loop() {
  pthread_setname_np(pthread_self(), "quoll-events");
  std::array<epoll_event, 64> events;
  while (!Stopping()) {
    const int count =
        epoll_wait(epoll.get(), events.data(), events.size(), TimeoutMs());
    if (count < 0 && errno != EINTR) {
      // EBADF, EFAULT or EINVAL: memory or descriptors of this process are
      // corrupt. Going on deaf to exits and OOMs would be worse.
      spdlog::critical("event loop: epoll_wait: errno {}", errno);
      std::abort();
    }
    for (int i = 0; i < count; ++i) {
      if (Stopping()) {
        return;
      }
      if (events[i].data.u64 == kWakeToken) {
        DrainWake();
      } else {
        Dispatch(events[i].data.u64, events[i].events);
      }
    }
    RunDueWork();
  }
}

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  std::unique_ptr<EventLoop> loop(new EventLoop());
  Impl& impl = *loop->impl_;
  impl.epoll = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!impl.epoll.valid()) {
    return absl::ErrnoToStatus(errno, "event loop: epoll_create1");
  }
  impl.wake = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!impl.wake.valid()) {
    return absl::ErrnoToStatus(errno, "event loop: eventfd");
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeToken;
  if (epoll_ctl(impl.epoll.get(), EPOLL_CTL_ADD, impl.wake.get(), &event) !=
      0) {
    return absl::ErrnoToStatus(errno, "event loop: watch the eventfd");
  }
  // The thread inherits a full mask: signals are the main thread's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    impl.thread = std::thread([&impl] { impl.Loop(); });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return absl::ResourceExhaustedError(
        absl::StrCat("event loop: start its thread: ", error.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return loop;
}

EventLoop::~EventLoop() {
  if (!impl_->thread.joinable()) {
    return;  // Create() failed half way
  }
  {
    absl::MutexLock lock(&impl_->mu);
    impl_->stopping = true;
  }
  impl_->Wake();
  impl_->thread.join();
}

absl::StatusOr<EventLoop::Token> EventLoop::Add(int fd, uint32_t epoll_events,
                                                Callback callback) {
  auto watch =
      std::make_shared<Impl::Watch>(Impl::Watch{fd, std::move(callback)});
  absl::MutexLock lock(&impl_->mu);
  const Token token = ++impl_->last_token;
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = token;
  if (epoll_ctl(impl_->epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("event loop: watch descriptor ", fd));
  }
  impl_->watches.emplace(token, std::move(watch));
  return token;
}

void EventLoop::Remove(Token token) {
  std::shared_ptr<Impl::Watch> watch;  // destroyed after the lock
  absl::MutexLock lock(&impl_->mu);
  const auto it = impl_->watches.find(token);
  if (it != impl_->watches.end()) {
    watch = std::move(it->second);
    impl_->watches.erase(it);
    if (epoll_ctl(impl_->epoll.get(), EPOLL_CTL_DEL, watch->fd, nullptr) != 0) {
      spdlog::error(
          "event loop: descriptor {} was closed before its watch was removed "
          "(errno {})",
          watch->fd, errno);
    }
  }
  if (std::this_thread::get_id() == impl_->thread.get_id()) {
    return;
  }
  auto not_running = [this, token]() ABSL_SHARED_LOCKS_REQUIRED(impl_->mu) {
    return impl_->running != token;
  };
  impl_->mu.Await(absl::Condition(&not_running));
}

void EventLoop::Post(std::function<void()> work) {
  {
    absl::MutexLock lock(&impl_->mu);
    impl_->posted.push_back(std::move(work));
  }
  impl_->Wake();
}

void EventLoop::PostAt(absl::Time when, std::function<void()> work) {
  const SteadyTime due = ToSteady(when);
  {
    absl::MutexLock lock(&impl_->mu);
    impl_->timers.emplace(due, std::move(work));
  }
  impl_->Wake();
}

}  // namespace quoll::os
