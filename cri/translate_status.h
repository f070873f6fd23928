// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cri/backends.h"
#include "proto/runtime/v1/api.pb.h"
#include "proto/state/v1/state.pb.h"
#include "runtime/types.h"

// Records, as the kubelet reads them. Pure. No field that it relies on is ever
// empty (the records have them all).
namespace quoll::cri {

::runtime::v1::PodSandboxState ToCriState(runtime::SandboxPhase phase);
// A container that is being removed has ended.
::runtime::v1::ContainerState ToCriState(runtime::ContainerPhase phase);

void ToPodSandbox(const runtime::SandboxRecord& record,
                  ::runtime::v1::PodSandbox* out);
void ToPodSandboxStatus(const runtime::SandboxRecord& record,
                        ::runtime::v1::PodSandboxStatus* out);

void ToContainer(const runtime::ContainerRecord& record,
                 ::runtime::v1::Container* out);
void ToContainerStatus(const runtime::ContainerRecord& record,
                       ::runtime::v1::ContainerStatus* out);

// `facts` says which names are pinned.
void ToImage(const state::v1::ImageRecord& record, const DaemonFacts& facts,
             ::runtime::v1::Image* out);

}  // namespace quoll::cri
