// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

// CNI plugins as shell scripts whose behaviour a test sets by files: for tests
// of what plugins may do wrong.
namespace quoll::runtime {

class ScriptedPlugins {
 public:
  // Works below `dir`, which must exist.
  explicit ScriptedPlugins(std::string dir);

  std::string bin_dir() const { return dir_ + "/bin"; }
  std::string conf_dir() const { return dir_ + "/conf"; }

  // Installs a plugin. It answers ADD with an address made from the number at
  // the end of the container id ("pod-7" -> 10.88.0.7) and all else with
  // silence and success.
  void Install(const std::string& type);
  void WriteConfig(const std::string& file_name, const std::string& text);

  // `step` is COMMAND.TYPE, "DEL.first".
  void Hang(const std::string& step);  // with a child; until killed
  void Fail(const std::string& step, const std::string& out);
  void Say(const std::string& step, const std::string& out);  // and succeed
  // Holds at the step until Behave().
  void Block(const std::string& step);
  void Behave(const std::string& step);

  // "COMMAND TYPE CONTAINER" of every run that has begun, in order.
  std::vector<std::string> Log() const;
  // Standard input and environment of the last run of a step.
  std::string Stdin(const std::string& step) const;
  std::string Environment(const std::string& step) const;
  // Process ids that a hanging step left: the script's and its child's.
  std::vector<int> HungPids(const std::string& step) const;

 private:
  void Write(const std::string& name, const std::string& text) const;
  std::string Read(const std::string& name) const;

  const std::string dir_;
};

}  // namespace quoll::runtime
