// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/scripted_plugins.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace quoll::runtime {
namespace {

// $dir is set by the first line that Install() puts before it. Appending one
// short line to a file is atomic, so plugins may run side by side.
constexpr char kScript[] = R"sh(
type=${0##*/}
step=$CNI_COMMAND.$type
config=$(cat)
printf '%s' "$config" > "$dir/stdin.$step.$$"
mv "$dir/stdin.$step.$$" "$dir/stdin.$step"
env > "$dir/env.$step.$$"
mv "$dir/env.$step.$$" "$dir/env.$step"
echo "$CNI_COMMAND $type $CNI_CONTAINERID" >> "$dir/log"
if [ -e "$dir/hang.$step" ]; then
  sleep 1000 &
  echo "$$ $!" > "$dir/pids.$step"
  wait
fi
while [ -e "$dir/block.$step" ]; do sleep 0.01; done
if [ -e "$dir/fail.$step" ]; then
  cat "$dir/fail.$step"
  echo "words on stderr" >&2
  exit 1
fi
if [ -e "$dir/say.$step" ]; then
  cat "$dir/say.$step"
  exit 0
fi
if [ "$CNI_COMMAND" = ADD ]; then
  echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0",' \
    '"sandbox":"'"$CNI_NETNS"'"}],"ips":[{"interface":0,"address":' \
    '"10.88.0.'"${CNI_CONTAINERID##*-}"'/16"}]}'
fi
)sh";

}  // namespace

ScriptedPlugins::ScriptedPlugins(std::string dir) : dir_(std::move(dir)) {
  std::filesystem::create_directory(bin_dir());
  std::filesystem::create_directory(conf_dir());
}

void ScriptedPlugins::Write(const std::string& name,
                            const std::string& text) const {
  // By rename, so that nobody reads half of it.
  const std::string temporary = dir_ + "/temporary";
  std::ofstream(temporary, std::ios::binary) << text;
  std::filesystem::rename(temporary, dir_ + "/" + name);
}

std::string ScriptedPlugins::Read(const std::string& name) const {
  std::stringstream text;
  text << std::ifstream(dir_ + "/" + name, std::ios::binary).rdbuf();
  return text.str();
}

void ScriptedPlugins::Install(const std::string& type) {
  Write("bin/" + type, "#!/bin/sh\ndir='" + dir_ + "'\n" + kScript);
  std::filesystem::permissions(bin_dir() + "/" + type,
                               std::filesystem::perms::owner_all);
}

void ScriptedPlugins::WriteConfig(const std::string& file_name,
                                  const std::string& text) {
  Write("conf/" + file_name, text);
}

void ScriptedPlugins::Hang(const std::string& step) {
  Write("hang." + step, "");
}

void ScriptedPlugins::Fail(const std::string& step, const std::string& out) {
  Write("fail." + step, out);
}

void ScriptedPlugins::Say(const std::string& step, const std::string& out) {
  Write("say." + step, out);
}

void ScriptedPlugins::Block(const std::string& step) {
  Write("block." + step, "");
}

void ScriptedPlugins::Behave(const std::string& step) {
  for (const char* how : {"hang.", "fail.", "say.", "block."}) {
    std::filesystem::remove(dir_ + "/" + how + step);
  }
}

std::vector<std::string> ScriptedPlugins::Log() const {
  std::vector<std::string> lines;
  std::ifstream file(dir_ + "/log");
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
  }
  return lines;
}

std::string ScriptedPlugins::Stdin(const std::string& step) const {
  return Read("stdin." + step);
}

std::string ScriptedPlugins::Environment(const std::string& step) const {
  return Read("env." + step);
}

std::vector<int> ScriptedPlugins::HungPids(const std::string& step) const {
  std::stringstream text(Read("pids." + step));
  std::vector<int> pids;
  for (int pid = 0; text >> pid;) {
    pids.push_back(pid);
  }
  return pids;
}

}  // namespace quoll::runtime
