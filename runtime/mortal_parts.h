// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "os/helper.h"
#include "os/mount.h"
#include "runtime/monitor/monitors.h"
#include "runtime/monitor/oci_runtime.h"
#include "runtime/network/pod_network.h"
#include "runtime/record_store.h"

// For fault tests: parts of a Runtime whose k-th effect fails, or during whose
// k-th effect the daemon "dies", after which nothing has an effect any more.
namespace quoll::runtime {

class Fate {
 public:
  enum class Kind {
    kFails,       // without effect; later calls are fine
    kDiesBefore,  // without effect, and none afterwards
    kDiesAfter,   // with effect, the caller does not learn of it
  };

  // The k-th effect from now on (1: the next).
  void Set(Kind kind, int k) {
    absl::MutexLock lock(&mutex_);
    kind_ = kind;
    left_ = k;
  }
  void Clear() {
    absl::MutexLock lock(&mutex_);
    left_ = 0;
    dead_ = false;
  }
  // Whether what was set has happened.
  bool Struck() const {
    absl::MutexLock lock(&mutex_);
    return left_ == 0;
  }

  template <typename Effect>
  auto Do(Effect effect) -> decltype(effect()) {
    bool strikes = false;
    Kind kind = Kind::kFails;
    {
      absl::MutexLock lock(&mutex_);
      if (dead_) {
        return absl::UnavailableError("the daemon is dead");
      }
      strikes = left_ > 0 && --left_ == 0;
      kind = kind_;
      dead_ = strikes && kind != Kind::kFails;
    }
    if (!strikes) {
      return effect();
    }
    if (kind == Kind::kDiesAfter) {
      (void)effect();
    }
    return absl::UnavailableError("struck by the test");
  }

 private:
  mutable absl::Mutex mutex_;
  Kind kind_ ABSL_GUARDED_BY(mutex_) = Kind::kFails;
  int left_ ABSL_GUARDED_BY(mutex_) = 0;
  bool dead_ ABSL_GUARDED_BY(mutex_) = false;
};

class MortalRecordStore : public RecordStore {
 public:
  MortalRecordStore(Fate& fate, RecordStore& real) : fate_(fate), real_(real) {}
  absl::Status PutSandbox(const SandboxRecord& record) override {
    return fate_.Do([&] { return real_.PutSandbox(record); });
  }
  absl::Status DeleteSandbox(absl::string_view id) override {
    return fate_.Do([&] { return real_.DeleteSandbox(id); });
  }
  absl::Status PutContainer(const ContainerRecord& record) override {
    return fate_.Do([&] { return real_.PutContainer(record); });
  }
  absl::Status DeleteContainer(absl::string_view id) override {
    return fate_.Do([&] { return real_.DeleteContainer(id); });
  }
  absl::StatusOr<Loaded> LoadAll() override { return real_.LoadAll(); }

 private:
  Fate& fate_;
  RecordStore& real_;
};

// Pins are mounts for the real parts, but the two fakes do not know each other.
class MortalMounter : public os::Mounter {
 public:
  MortalMounter(Fate& fate, os::Mounter& real, std::string pins)
      : fate_(fate), real_(real), pins_(std::move(pins)) {}
  absl::Status Mount(const os::MountSpec& spec, absl::Time deadline) override {
    return fate_.Do([&] { return real_.Mount(spec, deadline); });
  }
  absl::Status MountOverlay(const os::OverlaySpec& spec,
                            absl::Time deadline) override {
    return fate_.Do([&] { return real_.MountOverlay(spec, deadline); });
  }
  absl::Status Unmount(const std::string& target, bool lazy,
                       absl::Time deadline) override {
    return fate_.Do([&] { return real_.Unmount(target, lazy, deadline); });
  }
  absl::StatusOr<std::vector<std::string>> ListUnder(
      const std::string& prefix) const override;

 private:
  Fate& fate_;
  os::Mounter& real_;
  const std::string pins_;
};

class MortalHost : public os::HostActions {
 public:
  MortalHost(Fate& fate, os::HostActions& real) : fate_(fate), real_(real) {}
  absl::StatusOr<os::PinnedNamespaces> Pin(const os::PinRequest& request,
                                           absl::Time deadline) override {
    return fate_.Do([&] { return real_.Pin(request, deadline); });
  }
  absl::Status Unpin(const std::string& dir, absl::Time deadline) override {
    return fate_.Do([&] { return real_.Unpin(dir, deadline); });
  }
  absl::StatusOr<HostPath> ProbePath(const std::string& path,
                                     bool create_missing,
                                     absl::Time deadline) override {
    return fate_.Do(
        [&] { return real_.ProbePath(path, create_missing, deadline); });
  }

 private:
  Fate& fate_;
  os::HostActions& real_;
};

class MortalNetwork : public PodNetwork {
 public:
  MortalNetwork(Fate& fate, PodNetwork& real) : fate_(fate), real_(real) {}
  absl::Status Ready() const override { return real_.Ready(); }
  absl::StatusOr<Attachment> Attach(const Request& request,
                                    absl::Time deadline) override {
    return fate_.Do([&] { return real_.Attach(request, deadline); });
  }
  absl::Status Detach(absl::string_view id, absl::Time deadline) override {
    return fate_.Do([&] { return real_.Detach(id, deadline); });
  }
  absl::Status Check(absl::string_view id, absl::Time deadline) override {
    return real_.Check(id, deadline);
  }
  bool OwesDetach(absl::string_view id) const override {
    return real_.OwesDetach(id);
  }
  absl::Status Recover(absl::Span<const std::string> live) override {
    return real_.Recover(live);
  }

 private:
  Fate& fate_;
  PodNetwork& real_;
};

class MortalMonitors : public Monitors {
 public:
  MortalMonitors(Fate& fate, Monitors& real) : fate_(fate), real_(real) {}

  // The init processes of containers launched from now on, so that a test can
  // have real ones. They are the test's, as is telling their end.
  using MakeInit = std::function<os::ProcessIdentity(const std::string& id)>;
  void SetInit(MakeInit make_init) {
    absl::MutexLock lock(&mutex_);
    make_init_ = std::move(make_init);
  }

  absl::StatusOr<LaunchedContainer> Launch(const MonitorLaunch& launch,
                                           absl::Time deadline) override {
    auto launched = fate_.Do([&] { return real_.Launch(launch, deadline); });
    absl::MutexLock lock(&mutex_);
    if (launched.ok() && make_init_) {
      fake_inits_[launch.container_id] = launched->init;
      launched->init = make_init_(launch.container_id);
    }
    return launched;
  }
  absl::Status Discard(const std::string& id, const std::string& bundle,
                       const OciProgram& runtime,
                       absl::Time deadline) override {
    return fate_.Do(
        [&] { return real_.Discard(id, bundle, runtime, deadline); });
  }
  absl::Status Watch(const std::string& id, const std::string& bundle,
                     const LaunchedContainer& container,
                     OnExit on_exit) override {
    LaunchedContainer known = container;
    {
      absl::MutexLock lock(&mutex_);
      if (const auto it = fake_inits_.find(id); it != fake_inits_.end()) {
        known.init = it->second;
      }
    }
    return fate_.Do([&] { return real_.Watch(id, bundle, known, on_exit); });
  }
  void Unwatch(absl::string_view id) override { real_.Unwatch(id); }
  absl::Status ReopenLog(const std::string& bundle,
                         absl::Time deadline) override {
    return real_.ReopenLog(bundle, deadline);
  }
  absl::StatusOr<ExecResult> ExecSync(
      const ExecRequest& request, absl::Time deadline,
      std::function<bool()> cancelled) override {
    return real_.ExecSync(request, deadline, std::move(cancelled));
  }

 private:
  Fate& fate_;
  Monitors& real_;
  absl::Mutex mutex_;
  MakeInit make_init_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, os::ProcessIdentity> fake_inits_
      ABSL_GUARDED_BY(mutex_);
};

class MortalOciRuntime : public OciRuntime {
 public:
  MortalOciRuntime(Fate& fate, OciRuntime& real) : fate_(fate), real_(real) {}
  const OciProgram& program() const override { return real_.program(); }
  absl::Status Start(const std::string& id, absl::Time deadline) override {
    return fate_.Do([&] { return real_.Start(id, deadline); });
  }
  absl::Status KillAll(const std::string& id, int signo,
                       absl::Time deadline) override {
    return fate_.Do([&] { return real_.KillAll(id, signo, deadline); });
  }
  absl::Status Delete(const std::string& id, bool force,
                      absl::Time deadline) override {
    return fate_.Do([&] { return real_.Delete(id, force, deadline); });
  }
  absl::Status Update(const std::string& id, const std::string& json,
                      absl::Time deadline) override {
    return fate_.Do([&] { return real_.Update(id, json, deadline); });
  }
  absl::StatusOr<std::string> Version(absl::Time deadline) override {
    return real_.Version(deadline);
  }

 private:
  Fate& fate_;
  OciRuntime& real_;
};

}  // namespace quoll::runtime
