// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "os/call.h"
#include "runtime/engine.h"
#include "runtime/monitor/monitors.h"
#include "runtime/services.h"
#include "runtime/types.h"

// The use cases, one per file. Ids are full ids. Each runs to its end on the
// thread that calls it; runtime.cc puts them on worker threads and lets equal
// calls join. Where it says "locked", the caller holds the operation lock.
//
// There is no undo list: what a sandbox or a container may own can be found
// from its record alone, and Release...() takes all of it away, whatever was
// made of it. A failed create, a removal and the recovery after a crash all use
// that one way, so it is tried every day.
namespace quoll::runtime {

// runtime/run_sandbox.cc
absl::StatusOr<SandboxRecord> RunSandbox(Engine& engine,
                                         const SandboxSpec& spec);
// Takes back a Run that was not committed. OK when it is gone.
absl::Status AbandonSandbox(Engine& engine, const std::string& id);

// runtime/stop_sandbox.cc
absl::Status StopSandbox(Engine& engine, const std::string& id);
absl::Status StopSandboxLocked(Engine& engine, SandboxRecord record);
// Network, pause process, mounts, namespaces, cgroup; repeatable. The pod's
// files stay. A failed CNI DEL is owed by PodNetwork, which repeats it, and is
// not an error; the namespaces then stay until it has succeeded.
absl::Status ReleaseSandbox(Engine& engine, const SandboxRecord& record);
// Unpins, in the background when a DEL is owed: plugins work in the network
// namespace, and leave rules of the node behind when they do not find it (the
// bridge plugin's masquerading, for one).
absl::Status UnpinNamespaces(Engine& engine, const std::string& id);

// runtime/remove_sandbox.cc
absl::Status RemoveSandbox(Engine& engine, const std::string& id);

// runtime/create_container.cc
absl::StatusOr<ContainerRecord> CreateContainer(
    Engine& engine, const ContainerSpec& spec,
    const std::function<void()>& on_recorded);
absl::Status AbandonContainer(Engine& engine, const std::string& id);

// runtime/start_container.cc
absl::Status StartContainer(Engine& engine, const std::string& id);
// A start that the last daemon began: finished, or seen to be done.
absl::Status FinishStart(Engine& engine, const std::string& id,
                         absl::Time deadline);

// runtime/stop_container.cc
// Waits for the kill time in the container's Ending, which callers shorten.
absl::Status StopContainer(Engine& engine, const std::string& id);
// The same as a joint operation: the earliest kill time of all callers counts.
absl::Status StopContainerJointly(Engine& engine, const std::string& id,
                                  absl::Duration grace, const os::Call& call);

// runtime/container_exit.cc
absl::Status WatchContainer(Engine& engine, const ContainerRecord& record);
void ContainerEnded(Engine& engine, const std::string& id,
                    const absl::StatusOr<ExitRecord>& exit);
// Makes the exit durable and visible, then releases who waits for it.
void CommitExit(Engine& engine, const ContainerRecord& record);
// EXITED, code 255, reason Unknown: how it ended is not known.
ContainerRecord WithUnknownEnd(ContainerRecord record,
                               absl::string_view message);

// runtime/remove_container.cc
absl::Status RemoveContainer(Engine& engine, const std::string& id);
// Monitor, processes, mounts, extensions, files, cgroup; repeatable.
absl::Status ReleaseContainer(Engine& engine, const ContainerRecord& record);

// runtime/exec_container.cc
absl::StatusOr<ContainerService::ExecOutput> ExecInContainer(
    Engine& engine, const ContainerRecord& record,
    const std::vector<std::string>& argv, absl::Duration timeout,
    const os::Call& call);
absl::Status ReopenContainerLog(Engine& engine, const ContainerRecord& record,
                                const os::Call& call);

// runtime/recover.cc
absl::Status RecoverAll(Engine& engine);

// runtime/sweep_orphans.cc
// Removes directories, mounts and pins of ours that no record knows. Leaves,
// and reports, whatever still has a runtime's state: it may be alive.
void SweepOrphans(Engine& engine);

}  // namespace quoll::runtime
