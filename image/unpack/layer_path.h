// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "image/unpack/error.h"

namespace quoll::unpack {

// The name of a member as a path below the layer: no leading or double slash,
// no "." component; "" is the layer's root itself. kInvalidArgument for ".."
// and for names that no file can have.
Error CleanPath(std::string_view name, std::string* path);

// ("usr/lib", "libc.so"); ("", "usr") for a path without a slash.
std::pair<std::string_view, std::string_view> SplitPath(std::string_view path);

// "dir/name", or "name" in the root.
std::string JoinPath(std::string_view dir, std::string_view name);

}  // namespace quoll::unpack
