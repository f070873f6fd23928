// SPDX-License-Identifier: Apache-2.0
#include "ctl/command_words.h"

#include "absl/strings/match.h"

namespace quoll::ctl {
namespace {

// Whether this option's value is the next word.
bool TakesNextWord(const CLI::App& app, const std::string& word) {
  // "--name=x", "-tx": the value is in the word itself.
  const bool attached = absl::StartsWith(word, "--")
                            ? absl::StrContains(word, "=")
                            : word.size() > 2;
  if (attached) {
    return false;
  }
  const CLI::Option* option = app.get_option_no_throw(word);
  return option != nullptr && option->get_items_expected_max() > 0;
}

// The sub-command of this name that a container's command follows, or null.
const CLI::App* FindPrefixCommand(const CLI::App& app,
                                  const std::string& name) {
  const std::vector<const CLI::App*> found =
      app.get_subcommands([&name](const CLI::App* command) {
        return command->get_name() == name && command->get_prefix_command();
      });
  return found.empty() ? nullptr : found.front();
}

}  // namespace

std::vector<std::string> TakeCommandWords(const CLI::App& app,
                                          std::vector<std::string>& args) {
  const CLI::App* current = &app;
  size_t i = 0;
  for (; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (word == "--") {
      continue;
    }
    if (word.size() > 1 && word.front() == '-') {
      i += TakesNextWord(*current, word) ? 1 : 0;
      continue;
    }
    if (current != &app) {
      break;  // the operand
    }
    current = FindPrefixCommand(app, word);
    if (current == nullptr) {
      return {};
    }
  }
  if (i >= args.size()) {
    return {};
  }
  const auto end = args.begin() + static_cast<ptrdiff_t>(i) + 1;
  auto begin = end;
  if (begin != args.end() && *begin == "--") {
    ++begin;
  }
  std::vector<std::string> words(begin, args.end());
  args.erase(end, args.end());
  return words;
}

}  // namespace quoll::ctl
