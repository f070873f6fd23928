// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "cri/backends.h"

// The services under the RPCs, in memory: enough of their contract to test what
// the RPCs add to it. Set `error` to make every fallible call fail. Not
// thread-safe but for calls that only read.
namespace quoll::cri {

class FakeSandboxService : public runtime::SandboxService {
 public:
  absl::StatusOr<runtime::SandboxRecord> Run(const runtime::SandboxSpec& spec,
                                             const os::Call& call) override {
    last_call = call;
    if (!error.ok()) {
      return error;
    }
    runtime::SandboxRecord record;
    record.set_id(absl::StrCat("abc", records.size(), std::string(60, '0')));
    *record.mutable_spec() = spec;
    record.set_phase(state::v1::SANDBOX_READY);
    record.set_created_at_ns(1000 + static_cast<int64_t>(records.size()));
    records.push_back(record);
    return record;
  }
  absl::Status Stop(const std::string& id, const os::Call&) override {
    stopped.push_back(id);
    return error;
  }
  absl::Status Remove(const std::string& id, const os::Call&) override {
    removed.push_back(id);
    return error;
  }
  absl::StatusOr<runtime::SandboxRecord> Get(
      const std::string& id) const override {
    for (const runtime::SandboxRecord& record : records) {
      if (absl::StartsWith(record.id(), id)) {
        return record;
      }
    }
    return absl::NotFoundError(absl::StrCat("sandbox ", id, ": not found"));
  }
  std::vector<runtime::SandboxRecord> List() const override { return records; }

  std::vector<runtime::SandboxRecord> records;
  std::vector<std::string> stopped;
  std::vector<std::string> removed;
  os::Call last_call;
  absl::Status error;
};

class FakeContainerService : public runtime::ContainerService {
 public:
  absl::StatusOr<runtime::ContainerRecord> Create(
      const runtime::ContainerSpec& spec, const os::Call&,
      std::function<void()> on_recorded) override {
    if (!error.ok()) {
      return error;
    }
    if (before_recorded) {
      before_recorded();
    }
    on_recorded();
    if (after_recorded) {
      after_recorded();
    }
    runtime::ContainerRecord record;
    record.set_id(absl::StrCat("def", records.size(), std::string(60, '0')));
    *record.mutable_spec() = spec;
    record.set_phase(state::v1::CONTAINER_CREATED);
    record.set_created_at_ns(2000 + static_cast<int64_t>(records.size()));
    records.push_back(record);
    return record;
  }
  absl::Status Start(const std::string& id, const os::Call&) override {
    started.push_back(id);
    return error;
  }
  absl::Status Stop(const std::string& id, absl::Duration grace,
                    const os::Call&) override {
    stopped[id] = grace;
    return error;
  }
  absl::Status Remove(const std::string& id, const os::Call&) override {
    removed.push_back(id);
    return error;
  }
  absl::StatusOr<runtime::ContainerRecord> Get(
      const std::string& id) const override {
    for (const runtime::ContainerRecord& record : records) {
      if (absl::StartsWith(record.id(), id)) {
        return record;
      }
    }
    return absl::NotFoundError(absl::StrCat("container ", id, ": not found"));
  }
  std::vector<runtime::ContainerRecord> List() const override {
    return records;
  }
  absl::StatusOr<ExecOutput> ExecSync(const std::string&,
                                      const std::vector<std::string>& argv,
                                      absl::Duration timeout,
                                      const os::Call&) override {
    exec_argv = argv;
    exec_timeout = timeout;
    if (!error.ok()) {
      return error;
    }
    return exec_output;
  }
  absl::Status ReopenLog(const std::string& id, const os::Call&) override {
    reopened.push_back(id);
    return error;
  }
  absl::StatusOr<std::string> OciSpec(const std::string&) const override {
    return oci_spec;
  }
  FsUsage WritableUsage() const override { return {"/containers", 7, 8}; }

  std::vector<runtime::ContainerRecord> records;
  std::vector<std::string> started;
  std::map<std::string, absl::Duration> stopped;
  std::vector<std::string> removed;
  std::vector<std::string> reopened;
  std::vector<std::string> exec_argv;
  absl::Duration exec_timeout;
  ExecOutput exec_output;
  absl::StatusOr<std::string> oci_spec = std::string("{\"ociVersion\":\"1\"}");
  std::function<void()> before_recorded;
  std::function<void()> after_recorded;
  absl::Status error;
};

class FakeImageService : public image::ImageService {
 public:
  absl::Status Recover() override { return absl::OkStatus(); }
  absl::StatusOr<image::ImageRecord> Pull(const std::string& reference,
                                          const image::Credentials& with,
                                          const os::Call& call) override {
    credentials = with;
    if (on_pull) {
      return on_pull(call);
    }
    if (!error.ok()) {
      return error;
    }
    return Find(reference);
  }
  absl::StatusOr<std::vector<image::ImageRecord>> Load(
      const std::string& path, const std::string& name,
      const os::Call&) override {
    loaded_path = path;
    loaded_name = name;
    if (!error.ok()) {
      return error;
    }
    return records;
  }
  absl::StatusOr<image::ImageRecord> Find(
      const std::string& reference) const override {
    if (!error.ok()) {
      return error;
    }
    for (const image::ImageRecord& record : records) {
      if (record.id() == reference) {
        return record;
      }
      for (const std::string& tag : record.repo_tags()) {
        if (tag == reference) {
          return record;
        }
      }
    }
    return absl::NotFoundError(absl::StrCat("image ", reference, ": none"));
  }
  absl::StatusOr<image::ImageLease> Lease(
      const std::string& reference) override {
    absl::StatusOr<image::ImageRecord> record = Find(reference);
    if (!record.ok()) {
      return record.status();
    }
    ++leases;
    std::shared_ptr<void> hold(nullptr, [this](void*) { --leases; });
    return image::ImageLease(*record, {"/layers/a", "/layers/b"},
                             std::move(hold));
  }
  std::vector<image::ImageRecord> List() const override { return records; }
  absl::Status Remove(const std::string& reference) override {
    removed.push_back(reference);
    return error;
  }
  void ContainersGone() override { ++containers_gone; }
  FsUsage Usage() const override { return {"/layers", 5, 6}; }

  std::vector<image::ImageRecord> records;
  std::function<absl::StatusOr<image::ImageRecord>(const os::Call&)> on_pull;
  image::Credentials credentials;
  std::string loaded_path;
  std::string loaded_name;
  std::vector<std::string> removed;
  int leases = 0;           // alive now
  int containers_gone = 0;  // how often it was told
  absl::Status error;
};

class FakePodNetwork : public runtime::PodNetwork {
 public:
  absl::Status Ready() const override { return ready; }
  absl::StatusOr<Attachment> Attach(const Request&, absl::Time) override {
    return Attachment{};
  }
  absl::Status Detach(absl::string_view, absl::Time) override {
    return absl::OkStatus();
  }
  absl::Status Check(absl::string_view, absl::Time) override {
    return absl::OkStatus();
  }
  bool OwesDetach(absl::string_view) const override { return false; }
  absl::Status Recover(absl::Span<const std::string>) override {
    return absl::OkStatus();
  }

  absl::Status ready;
};

// All of them together, as the RPCs are given them.
struct FakeBackends {
  FakeSandboxService sandboxes;
  FakeContainerService containers;
  FakeImageService images;
  FakePodNetwork network;
  NodeSettings settings;
  DaemonFacts facts{.version = "1.2.3",
                    .default_handler = "runc",
                    .handlers = {{"crun", "/bin/crun"}, {"runc", "/bin/runc"}},
                    .config_json = "{}",
                    .pinned_images = {"docker.io/library/nginx:1"}};
  Backends all{sandboxes, containers, images, network, settings, facts};
};

}  // namespace quoll::cri
