// SPDX-License-Identifier: Apache-2.0
#include "ctl/command.h"

namespace quoll::ctl {

std::vector<std::string> CommandWords(const CLI::App& command) {
  std::vector<std::string> words = command.remaining();
  if (!words.empty() && words.front() == "--") {
    words.erase(words.begin());
  }
  return words;
}

}  // namespace quoll::ctl
