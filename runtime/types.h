// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "proto/state/v1/state.pb.h"

// The domain's nouns. Specs and records are the messages in which they are
// stored, so that there is one definition of each and no copying between two
// shapes; proto/state/v1/state.proto documents their fields.
namespace quoll::runtime {

using ContainerPhase = ::quoll::state::v1::ContainerPhase;
using ContainerRecord = ::quoll::state::v1::ContainerRecord;
using ContainerSpec = ::quoll::state::v1::ContainerSpec;
using ImageConfig = ::quoll::state::v1::ImageConfig;
using NetworkAttachment = ::quoll::state::v1::NetworkAttachment;
using Resources = ::quoll::state::v1::Resources;
using SandboxPhase = ::quoll::state::v1::SandboxPhase;
using SandboxRecord = ::quoll::state::v1::SandboxRecord;
using SandboxSpec = ::quoll::state::v1::SandboxSpec;

//   Run           Stop            Remove
//  -----> CREATING -> READY -> STOPPING -> STOPPED -> REMOVING -> (gone)
//            |  failure: effects undone, record deleted
//
//   Create                 Start           exit        Remove
//  -----> CREATING -> CREATED ----> RUNNING ----> EXITED -> REMOVING -> (gone)
//            |  failure: undone        UNKNOWN: found on disk, monitor lost;
//                                      only Stop and Remove are allowed

}  // namespace quoll::runtime
