// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/clock.h"

#include "cri/rpcs.h"

namespace quoll::cri {
namespace {

void SetUsage(const std::string& mountpoint, uint64_t bytes, uint64_t inodes,
              criv1::FilesystemUsage* out) {
  out->set_timestamp(absl::GetCurrentTimeNanos());
  out->mutable_fs_id()->set_mountpoint(mountpoint);
  out->mutable_used_bytes()->set_value(bytes);
  out->mutable_inodes_used()->set_value(inodes);
}

}  // namespace

absl::Status ImageFsInfo(const Backends& backends, const os::Call& /*call*/,
                         const criv1::ImageFsInfoRequest& /*request*/,
                         criv1::ImageFsInfoResponse* response) {
  const image::ImageService::FsUsage images = backends.images.Usage();
  SetUsage(images.mountpoint, images.bytes, images.inodes,
           response->add_image_filesystems());
  const runtime::ContainerService::FsUsage containers =
      backends.containers.WritableUsage();
  SetUsage(containers.mountpoint, containers.bytes, containers.inodes,
           response->add_container_filesystems());
  return absl::OkStatus();
}

}  // namespace quoll::cri
