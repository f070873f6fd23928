// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "cri/config.h"
#include "cri/config_schema.h"
#include "cri/record_json.h"
#include "nlohmann/json.hpp"

namespace quoll::cri {
namespace {

// A TOML basic string (https://toml.io/en/v1.0.0#string).
std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (absl::ascii_iscntrl(c)) {
      absl::StrAppendFormat(&out, "\\u%04X", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Toml(const std::string& value) {
  return Quoted(value);
}
std::string Toml(int64_t value) {
  return absl::StrCat(value);
}
std::string Toml(ByteSize value) {
  return Quoted(ByteSizeText(value));
}
std::string Toml(absl::Duration value) {
  return Quoted(absl::FormatDuration(value));
}
std::string Toml(const std::vector<std::string>& values) {
  return absl::StrCat("[",
                      absl::StrJoin(values, ", ",
                                    [](std::string* out, const auto& value) {
                                      absl::StrAppend(out, Quoted(value));
                                    }),
                      "]");
}
std::string Toml(const std::map<std::string, std::string>& values) {
  if (values.empty()) {
    return "{}";
  }
  return absl::StrCat("{ ",
                      absl::StrJoin(values, ", ",
                                    [](std::string* out, const auto& entry) {
                                      absl::StrAppend(out, Quoted(entry.first),
                                                      " = ",
                                                      Quoted(entry.second));
                                    }),
                      " }");
}

nlohmann::json Json(const std::string& value) {
  return value;
}
nlohmann::json Json(int64_t value) {
  return value;
}
nlohmann::json Json(ByteSize value) {
  return ByteSizeText(value);
}
nlohmann::json Json(absl::Duration value) {
  return absl::FormatDuration(value);
}
nlohmann::json Json(const std::vector<std::string>& values) {
  return values;
}
nlohmann::json Json(const std::map<std::string, std::string>& values) {
  return values;
}

void AppendComment(absl::string_view text, std::string& out) {
  if (text.empty()) {
    return;
  }
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::StrAppend(&out, "# ", line, "\n");
  }
}

void AppendKeys(absl::string_view section, Config& config,
                absl::string_view mark, std::string& out) {
  bool first = true;
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.section != section) {
      continue;
    }
    if (!first) {
      out += "\n";
    }
    first = false;
    AppendComment(key.help, out);
    absl::StrAppend(
        &out, mark, key.name, " = ",
        std::visit([&](auto member) { return Toml(member(config)); },
                   key.member),
        "\n");
  }
}

}  // namespace

std::string DumpConfig(const Config& config, DumpStyle style) {
  Config values = config;  // members are reached as non-const
  const absl::string_view mark = style == DumpStyle::kCommentedOut ? "#" : "";
  std::string out;
  if (style == DumpStyle::kCommentedOut) {
    out =
        "# Configuration of quolld. Every key stands here with its default "
        "and\n"
        "# is commented out: remove the '#' in front of a key to change it.\n"
        "# `quolld config check` validates this file, `quolld config dump` "
        "shows\n"
        "# what is in effect. A restart of quolld applies a change; "
        "containers\n"
        "# run on meanwhile.\n\n";
  }
  AppendKeys("", values, mark, out);
  for (const ConfigSection& section : ConfigSections()) {
    out += "\n";
    AppendComment(section.help, out);
    absl::StrAppend(&out, "[", section.name, "]\n");
    AppendKeys(section.name, values, mark, out);
    if (section.name != "runtime") {
      continue;
    }
    // What the default handler is chosen from belongs beside it.
    out += "\n";
    AppendComment(kHandlerHelp, out);
    for (const auto& [name, handler] : values.runtimes) {
      absl::StrAppend(&out, mark, "[runtimes.", name, "]\n", mark,
                      "program = ", Quoted(handler.program), "\n", mark,
                      "args = ", Toml(handler.args), "\n");
    }
  }
  return out;
}

std::string ConfigJson(const Config& config) {
  Config values = config;
  nlohmann::json json = nlohmann::json::object();
  for (const ConfigKey& key : ConfigKeys()) {
    nlohmann::json& table =
        key.section.empty() ? json : json[std::string(key.section)];
    table[std::string(key.name)] = std::visit(
        [&](auto member) { return Json(member(values)); }, key.member);
  }
  for (const auto& [name, handler] : values.runtimes) {
    json["runtimes"][name] = {{"program", handler.program},
                              {"args", handler.args}};
  }
  return DumpJson(json);
}

}  // namespace quoll::cri
