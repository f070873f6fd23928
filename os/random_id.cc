// SPDX-License-Identifier: Apache-2.0
#include "os/random_id.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/escaping.h"

namespace quoll::os {
namespace {

constexpr size_t kMaxIdDigits = 64;

}  // namespace

std::string RandomHexId(size_t bytes) {
  std::string raw(bytes, '\0');
  size_t filled = 0;
  while (filled < bytes) {
    const ssize_t n = ::getrandom(raw.data() + filled, bytes - filled, 0);
    if (n > 0) {
      filled += static_cast<size_t>(n);
    } else if (n < 0 && errno != EINTR) {
      // Only ENOSYS and EFAULT are left (getrandom(2)): Linux older than 3.17,
      // or our bug. An id that is not random would collide silently.
      std::fprintf(stderr, "getrandom: %s\n", strerror(errno));
      std::abort();
    }
  }
  return absl::BytesToHexString(raw);
}

bool IsHexId(absl::string_view text) {
  if (text.empty() || text.size() > kMaxIdDigits) {
    return false;
  }
  for (const char c : text) {
    if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
      return false;
    }
  }
  return true;
}

}  // namespace quoll::os
