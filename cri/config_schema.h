// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "cri/config.h"

// Every key of quoll.toml as data: the parser, the dump and the packaged file
// are all made from this one table. [runtimes.NAME] is the only table whose
// name is the user's; config_parse.cc and config_dump.cc know it by themselves.
namespace quoll::cri {

template <typename T>
using ConfigMember = T& (*)(Config&);

struct ConfigKey {
  absl::string_view section;  // "": before the first table
  absl::string_view name;
  absl::string_view help;  // lines, without '#'
  // Where the value lives; the alternative is its type.
  std::variant<ConfigMember<std::string>, ConfigMember<int64_t>,
               ConfigMember<ByteSize>, ConfigMember<absl::Duration>,
               ConfigMember<std::vector<std::string>>,
               ConfigMember<std::map<std::string, std::string>>>
      member;
  // "" when the value is allowed, else what is wrong with it.
  std::string (*problem)(const Config&);
};

struct ConfigSection {
  absl::string_view name;
  absl::string_view help;
};

// In the order of the file; keys of one section stand together.
absl::Span<const ConfigKey> ConfigKeys();
absl::Span<const ConfigSection> ConfigSections();

// Help of the keys of [runtimes.NAME], and what is wrong with a handler's name
// or program.
inline constexpr absl::string_view kHandlerHelp =
    "One table per runtime handler: the name is what a RuntimeClass calls\n"
    "\"handler\". `program` is an absolute path, or a name that is looked up "
    "in\n"
    "/usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, /sbin and /bin.\n"
    "`args` go before the sub-command. Without any such table there are runc\n"
    "and crun, where they are installed; with one, only what is written here.";
std::string HandlerNameProblem(absl::string_view name);
std::string ProgramProblem(absl::string_view program);

// "64MiB" of 67108864: the largest unit that divides it.
std::string ByteSizeText(ByteSize size);

}  // namespace quoll::cri
