// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>

// Small reads and writes. Errors are returned as negative errno values.
namespace quoll::runtime::monitor {

// Reads at most `size` - 1 bytes to the end of the file and adds a NUL. Returns
// the length; -EFBIG when the file is larger.
ssize_t ReadToEnd(int fd, char* buffer, size_t size);
ssize_t ReadFile(int dir_fd, const char* path, char* buffer, size_t size);

// 0, or what stopped it. Retries short writes.
int WriteAll(int fd, const void* data, size_t size);

// One write to an existing control file (cgroupfs).
int WriteControl(int dir_fd, const char* path, const char* text);

// `name` in the working directory gets the content by rename(2): readers see
// the whole of it or the file that was there before.
int ReplaceFile(const char* name, const char* text, size_t size);

void CloseFd(int* fd);
bool SetNonBlocking(int fd);

}  // namespace quoll::runtime::monitor
