// SPDX-License-Identifier: Apache-2.0
#include "cri/translate_status.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "cri/record_json.h"
#include "cri/signals.h"
#include "cri/translate_linux.h"
#include "os/utf8.h"

namespace quoll::cri {
namespace {

namespace criv1 = ::runtime::v1;

void SetMetadata(const runtime::SandboxSpec& spec,
                 criv1::PodSandboxMetadata* out) {
  out->set_name(spec.name());
  out->set_uid(spec.uid());
  out->set_namespace_(spec.namespace_());
  out->set_attempt(spec.attempt());
}

void SetMetadata(const runtime::ContainerSpec& spec,
                 criv1::ContainerMetadata* out) {
  out->set_name(spec.name());
  out->set_attempt(spec.attempt());
}

// Both CRI names of an image are the user's: another tag of the same image must
// not show up in the pod's status.
void SetImage(const runtime::ContainerSpec& spec, criv1::ImageSpec* out) {
  out->set_image(spec.user_image());
  out->set_user_specified_image(spec.user_image());
}

void SetMount(const state::v1::MountRequest& in, criv1::Mount* out) {
  out->set_container_path(in.container_path());
  out->set_host_path(in.host_path());
  out->set_readonly(in.readonly());
  out->set_selinux_relabel(in.selinux_relabel());
  out->set_propagation(static_cast<criv1::MountPropagation>(in.propagation()));
  out->set_recursive_read_only(in.recursive_readonly());
  *out->mutable_mount_options() = in.options();
}

}  // namespace

criv1::PodSandboxState ToCriState(runtime::SandboxPhase phase) {
  return phase == state::v1::SANDBOX_READY ? criv1::SANDBOX_READY
                                           : criv1::SANDBOX_NOTREADY;
}

criv1::ContainerState ToCriState(runtime::ContainerPhase phase) {
  switch (phase) {
    case state::v1::CONTAINER_CREATING:
    case state::v1::CONTAINER_CREATED:
      return criv1::CONTAINER_CREATED;
    case state::v1::CONTAINER_RUNNING:
      return criv1::CONTAINER_RUNNING;
    case state::v1::CONTAINER_EXITED:
    case state::v1::CONTAINER_REMOVING:
      return criv1::CONTAINER_EXITED;
    default:  // also a phase that a newer daemon has written
      return criv1::CONTAINER_UNKNOWN;
  }
}

void ToPodSandbox(const runtime::SandboxRecord& record,
                  criv1::PodSandbox* out) {
  out->set_id(record.id());
  SetMetadata(record.spec(), out->mutable_metadata());
  out->set_state(ToCriState(record.phase()));
  out->set_created_at(record.created_at_ns());
  *out->mutable_labels() = record.spec().labels();
  *out->mutable_annotations() = record.spec().annotations();
  out->set_runtime_handler(record.spec().runtime_handler());
}

void ToPodSandboxStatus(const runtime::SandboxRecord& record,
                        criv1::PodSandboxStatus* out) {
  out->set_id(record.id());
  SetMetadata(record.spec(), out->mutable_metadata());
  out->set_state(ToCriState(record.phase()));
  out->set_created_at(record.created_at_ns());
  criv1::PodSandboxNetworkStatus* network = out->mutable_network();
  // A stopped pod's addresses may be another pod's by now.
  if (record.phase() == state::v1::SANDBOX_READY) {
    for (const std::string& ip : record.ips()) {
      if (network->ip().empty()) {
        network->set_ip(ip);
      } else {
        network->add_additional_ips()->set_ip(ip);
      }
    }
  }
  FromNamespaces(record.spec().namespaces(),
                 out->mutable_linux()->mutable_namespaces()->mutable_options());
  *out->mutable_labels() = record.spec().labels();
  *out->mutable_annotations() = record.spec().annotations();
  out->set_runtime_handler(record.spec().runtime_handler());
}

void ToContainer(const runtime::ContainerRecord& record,
                 criv1::Container* out) {
  const runtime::ContainerSpec& spec = record.spec();
  out->set_id(record.id());
  out->set_pod_sandbox_id(spec.sandbox_id());
  SetMetadata(spec, out->mutable_metadata());
  SetImage(spec, out->mutable_image());
  out->set_image_ref(spec.image_ref());
  out->set_image_id(spec.image_id());
  out->set_state(ToCriState(record.phase()));
  out->set_created_at(record.created_at_ns());
  *out->mutable_labels() = spec.labels();
  *out->mutable_annotations() = spec.annotations();
}

void ToContainerStatus(const runtime::ContainerRecord& record,
                       criv1::ContainerStatus* out) {
  const runtime::ContainerSpec& spec = record.spec();
  out->set_id(record.id());
  SetMetadata(spec, out->mutable_metadata());
  out->set_state(ToCriState(record.phase()));
  out->set_created_at(record.created_at_ns());
  out->set_started_at(record.started_at_ns());
  out->set_finished_at(record.finished_at_ns());
  out->set_exit_code(record.exit_code());
  SetImage(spec, out->mutable_image());
  out->set_image_ref(spec.image_ref());
  out->set_image_id(spec.image_id());
  out->set_reason(record.reason());
  out->set_message(os::ToUtf8(record.message()));
  *out->mutable_labels() = spec.labels();
  *out->mutable_annotations() = spec.annotations();
  for (const state::v1::MountRequest& mount : spec.mounts()) {
    SetMount(mount, out->add_mounts());
  }
  out->set_log_path(record.log_path());
  FromResources(record.effective_resources(),
                out->mutable_resources()->mutable_linux());
  criv1::LinuxContainerUser* user = out->mutable_user()->mutable_linux();
  user->set_uid(record.effective_user().uid());
  user->set_gid(record.effective_user().gid());
  *user->mutable_supplemental_groups() =
      record.effective_user().supplemental_groups();
  out->set_stop_signal(SignalFromNumber(record.stop_signal()));
}

void ToImage(const state::v1::ImageRecord& record, const DaemonFacts& facts,
             criv1::Image* out) {
  out->set_id(record.id());
  *out->mutable_repo_tags() = record.repo_tags();
  *out->mutable_repo_digests() = record.repo_digests();
  out->set_size(record.size_bytes());
  out->mutable_spec()->set_image(record.id());
  out->set_pinned(record.pinned() ||
                  std::any_of(record.repo_tags().begin(),
                              record.repo_tags().end(),
                              [&facts](const std::string& tag) {
                                return facts.pinned_images.contains(tag);
                              }));
  // USER is "uid", "name", "uid:gid" or "name:group"; the kubelet asks for the
  // user only (to enforce runAsNonRoot).
  const std::vector<absl::string_view> parts =
      absl::StrSplit(record.config().user(), absl::MaxSplits(':', 1));
  int64_t uid = 0;
  if (absl::SimpleAtoi(parts[0], &uid) && uid >= 0) {
    out->mutable_uid()->set_value(uid);
  } else {
    out->set_username(std::string(parts[0]));
  }
}

}  // namespace quoll::cri
