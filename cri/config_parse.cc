// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "cri/config.h"
#include "cri/config_schema.h"
#include "cri/nearest.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "toml++/toml.h"

namespace quoll::cri {
namespace {

// A place in the file that is read.
struct Place {
  const std::string& file;
  toml::source_position position;
};

absl::Status At(const Place& place, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(place.file, ":", place.position.line, ":",
                   place.position.column, ": ", what));
}

absl::string_view View(std::string_view text) {
  return {text.data(), text.size()};
}

std::string FullName(absl::string_view section, absl::string_view key) {
  return section.empty() ? std::string(key) : absl::StrCat(section, ".", key);
}

std::string TypeName(const toml::node& node) {
  std::ostringstream out;
  out << node.type();
  return out.str();
}

absl::Status WrongType(const Place& place, const std::string& name,
                       const toml::node& node, absl::string_view wanted) {
  return At(place, absl::StrCat(name, " must be ", wanted,
                                ", not a value of "
                                "type ",
                                TypeName(node)));
}

// ---- one value, by its type

absl::Status Read(const toml::node& node, const Place& place,
                  const std::string& name, std::string& out) {
  const auto value = node.value_exact<std::string>();
  if (!value) {
    return WrongType(place, name, node, "a string");
  }
  out = *value;
  return absl::OkStatus();
}

absl::Status Read(const toml::node& node, const Place& place,
                  const std::string& name, int64_t& out) {
  const auto value = node.value_exact<int64_t>();
  if (!value) {
    return WrongType(place, name, node, "a whole number");
  }
  out = *value;
  return absl::OkStatus();
}

// "64MiB", "64Mi", or a number of bytes.
std::optional<int64_t> ParseByteSize(absl::string_view text) {
  int64_t factor = 1;
  absl::ConsumeSuffix(&text, "B");
  if (absl::ConsumeSuffix(&text, "Ki")) {
    factor = int64_t{1} << 10;
  } else if (absl::ConsumeSuffix(&text, "Mi")) {
    factor = int64_t{1} << 20;
  } else if (absl::ConsumeSuffix(&text, "Gi")) {
    factor = int64_t{1} << 30;
  }
  int64_t count = 0;
  int64_t bytes = 0;
  if (!absl::SimpleAtoi(text, &count) || count < 0 ||
      __builtin_mul_overflow(count, factor, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

absl::Status Read(const toml::node& node, const Place& place,
                  const std::string& name, ByteSize& out) {
  if (const auto bytes = node.value_exact<int64_t>()) {
    out.bytes = *bytes;
    return absl::OkStatus();
  }
  const auto text = node.value_exact<std::string>();
  const std::optional<int64_t> bytes =
      text ? ParseByteSize(*text) : std::nullopt;
  if (!bytes) {
    return At(place, absl::StrCat(name, " must be a size like \"64MiB\""));
  }
  out.bytes = *bytes;
  return absl::OkStatus();
}

absl::Status Read(const toml::node& node, const Place& place,
                  const std::string& name, absl::Duration& out) {
  const auto text = node.value_exact<std::string>();
  if (!text || !absl::ParseDuration(*text, &out)) {
    return At(place, absl::StrCat(name,
                                  " must be a time like \"60s\" or "
                                  "\"1m30s\""));
  }
  return absl::OkStatus();
}

absl::Status Read(const toml::node& node, const Place& place,
                  const std::string& name, std::vector<std::string>& out) {
  const toml::array* array = node.as_array();
  if (array == nullptr) {
    return WrongType(place, name, node, "a list of strings");
  }
  out.clear();
  for (const toml::node& element : *array) {
    QUOLL_RETURN_IF_ERROR(Read(element, {place.file, element.source().begin},
                               absl::StrCat("each element of ", name),
                               out.emplace_back()));
  }
  return absl::OkStatus();
}

absl::Status Read(const toml::node& node, const Place& place,
                  const std::string& name,
                  std::map<std::string, std::string>& out) {
  const toml::table* table = node.as_table();
  if (table == nullptr) {
    return WrongType(place, name, node, "a table of strings");
  }
  out.clear();
  for (const auto& [key, value] : *table) {
    QUOLL_RETURN_IF_ERROR(Read(value, {place.file, value.source().begin},
                               FullName(name, View(key.str())),
                               out[std::string(key.str())]));
  }
  return absl::OkStatus();
}

// ---- tables

absl::Status Unknown(const Place& place, absl::string_view section,
                     absl::string_view key,
                     const std::vector<std::string>& known) {
  std::string what =
      absl::StrCat("unknown key \"", FullName(section, key), "\"");
  if (const std::optional<std::string> nearest = Nearest(key, known)) {
    absl::StrAppend(&what, "; did you mean \"", FullName(section, *nearest),
                    "\"?");
  } else {
    absl::StrAppend(&what, "; known here: ", absl::StrJoin(known, ", "));
  }
  return At(place, what);
}

std::vector<std::string> KnownIn(absl::string_view section) {
  std::vector<std::string> known;
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.section == section) {
      known.emplace_back(key.name);
    }
  }
  if (section.empty()) {
    for (const ConfigSection& each : ConfigSections()) {
      known.emplace_back(each.name);
    }
    known.emplace_back("runtimes");
  }
  return known;
}

const ConfigKey* FindKey(absl::string_view section, absl::string_view name) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.section == section && key.name == name) {
      return &key;
    }
  }
  return nullptr;
}

absl::Status ReadKey(const toml::node& node, const Place& place,
                     const ConfigKey& key, Config& config) {
  const std::string name = FullName(key.section, key.name);
  QUOLL_RETURN_IF_ERROR(std::visit(
      [&](auto member) { return Read(node, place, name, member(config)); },
      key.member));
  if (const std::string problem = key.problem(config); !problem.empty()) {
    return At(place, absl::StrCat(name, ": ", problem));
  }
  return absl::OkStatus();
}

absl::Status ReadSection(const toml::table& table, absl::string_view section,
                         const std::string& file, Config& config) {
  for (const auto& [key, node] : table) {
    const absl::string_view name = View(key.str());
    const ConfigKey* known = FindKey(section, name);
    if (known == nullptr) {
      return Unknown({file, key.source().begin}, section, name,
                     KnownIn(section));
    }
    QUOLL_RETURN_IF_ERROR(
        ReadKey(node, {file, node.source().begin}, *known, config));
  }
  return absl::OkStatus();
}

absl::Status ReadHandler(const toml::table& table, const std::string& section,
                         const std::string& file, Config::Handler& handler) {
  for (const auto& [key, node] : table) {
    const absl::string_view name = View(key.str());
    const Place place{file, node.source().begin};
    const std::string full = FullName(section, name);
    if (name == "program") {
      QUOLL_RETURN_IF_ERROR(Read(node, place, full, handler.program));
      const std::string problem = ProgramProblem(handler.program);
      if (!problem.empty()) {
        return At(place, absl::StrCat(full, ": ", problem));
      }
    } else if (name == "args") {
      QUOLL_RETURN_IF_ERROR(Read(node, place, full, handler.args));
    } else {
      return Unknown({file, key.source().begin}, section, name,
                     {"program", "args"});
    }
  }
  if (handler.program.empty()) {
    return At({file, table.source().begin},
              absl::StrCat(section, ".program is missing"));
  }
  return absl::OkStatus();
}

absl::Status ReadHandlers(const toml::table& table, const std::string& file,
                          Config& config) {
  config.runtimes.clear();
  for (const auto& [key, node] : table) {
    const absl::string_view name = View(key.str());
    const std::string section = absl::StrCat("runtimes.", name);
    if (const std::string problem = HandlerNameProblem(name);
        !problem.empty()) {
      return At({file, key.source().begin}, problem);
    }
    const toml::table* handler = node.as_table();
    if (handler == nullptr) {
      return WrongType({file, node.source().begin}, section, node, "a table");
    }
    QUOLL_RETURN_IF_ERROR(ReadHandler(*handler, section, file,
                                      config.runtimes[std::string(name)]));
  }
  return absl::OkStatus();
}

absl::Status ReadTop(const toml::table& root, const std::string& file,
                     Config& config) {
  for (const auto& [key, node] : root) {
    const absl::string_view name = View(key.str());
    const Place place{file, node.source().begin};
    if (const ConfigKey* known = FindKey("", name)) {
      QUOLL_RETURN_IF_ERROR(ReadKey(node, place, *known, config));
      continue;
    }
    bool section = name == "runtimes";
    for (const ConfigSection& each : ConfigSections()) {
      section |= each.name == name;
    }
    if (!section) {
      return Unknown({file, key.source().begin}, "", name, KnownIn(""));
    }
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      return WrongType(place, std::string(name), node, "a table");
    }
    QUOLL_RETURN_IF_ERROR(name == "runtimes"
                              ? ReadHandlers(*table, file, config)
                              : ReadSection(*table, name, file, config));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view text,
                                   const std::string& name) {
  toml::table root;
  try {  // the packaged library is built to throw
    root = toml::parse(std::string_view(text.data(), text.size()));
  } catch (const toml::parse_error& error) {
    return At({name, error.source().begin}, View(error.description()));
  }
  Config config;
  QUOLL_RETURN_IF_ERROR(ReadTop(root, name, config));
  if (!config.runtimes.contains(config.runtime.default_handler)) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": runtime.default_handler \"", config.runtime.default_handler,
        "\" has no table [runtimes.", config.runtime.default_handler, "]"));
  }
  // Both have a directory "containers", for different things.
  if (absl::StripSuffix(config.state_dir, "/") ==
      absl::StripSuffix(config.run_dir, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": state_dir and run_dir are both \"",
                     config.run_dir, "\": they must be two directories"));
  }
  return config;
}

absl::StatusOr<Config> LoadConfig(const std::string& path, bool optional) {
  const absl::StatusOr<std::string> text = os::ReadFile(path);
  if (absl::IsNotFound(text.status()) && optional) {
    return Config();
  }
  QUOLL_RETURN_IF_ERROR(text.status());
  return ParseConfig(*text, path);
}

}  // namespace quoll::cri
