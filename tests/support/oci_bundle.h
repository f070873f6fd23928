// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "nlohmann/json.hpp"

// OCI bundles over a root file system that is one static busybox.
namespace quoll::testing {

// crun up to 1.8 refuses hosts with a cgroup2 mount beside v1 ("hybrid"). In a
// mount namespace of its own without that mount it works; the namespace is the
// calling thread's and its later children's.
inline void HideHybridCgroup() {
  static constexpr char kUnified[] = "/sys/fs/cgroup/unified";
  if (!std::filesystem::exists(std::string(kUnified) + "/cgroup.procs")) {
    return;
  }
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(umount2(kUnified, MNT_DETACH), 0);
  // crun makes its directories there all the same; not in the machine's tmpfs.
  ASSERT_EQ(mount("tmpfs", kUnified, "tmpfs", 0, nullptr), 0);
}

// DIR/bin with busybox under the names of `applets`.
inline void MakeBusyboxRootfs(const std::string& dir) {
  namespace fs = std::filesystem;
  for (const char* name : {"bin", "proc", "dev", "sys", "tmp"}) {
    fs::create_directories(dir + "/" + name);
  }
  fs::copy_file("/bin/busybox", dir + "/bin/busybox");
  for (const char* applet :
       {"sh", "sleep", "cat", "echo", "true", "false", "head", "kill", "setsid",
        "tty", "dd", "yes", "tail", "id", "ps"}) {
    fs::create_symlink("busybox", dir + "/bin/" + applet);
  }
}

struct BundleOptions {
  std::string rootfs;
  std::vector<std::string> argv;
  std::string cgroups_path;
  bool tty = false;
  bool own_pid_namespace = true;
  int64_t memory_limit_bytes = 0;
};

// A config.json with the least that runc and crun want.
inline nlohmann::json MakeOciConfig(const BundleOptions& options) {
  nlohmann::json namespaces = {{{"type", "mount"}},
                               {{"type", "ipc"}},
                               {{"type", "uts"}},
                               {{"type", "network"}}};
  if (options.own_pid_namespace) {
    namespaces.push_back({{"type", "pid"}});
  }
  nlohmann::json config = {
      {"ociVersion", "1.0.2"},
      {"root", {{"path", options.rootfs}, {"readonly", true}}},
      {"hostname", "test"},
      {"process",
       {{"terminal", options.tty},
        {"user", {{"uid", 0}, {"gid", 0}}},
        {"args", options.argv},
        {"env", {"PATH=/bin"}},
        {"cwd", "/"},
        {"capabilities",
         {{"bounding", {"CAP_KILL"}},
          {"effective", {"CAP_KILL"}},
          {"permitted", {"CAP_KILL"}}}}}},
      {"mounts",
       {{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}},
        {{"destination", "/dev"},
         {"type", "tmpfs"},
         {"source", "tmpfs"},
         {"options", {"nosuid", "mode=755"}}},
        {{"destination", "/dev/pts"},
         {"type", "devpts"},
         {"source", "devpts"},
         {"options", {"newinstance", "ptmxmode=0666", "mode=0620"}}}}},
      {"linux",
       {{"namespaces", namespaces},
        {"cgroupsPath", options.cgroups_path},
        {"resources", nlohmann::json::object()}}}};
  if (options.memory_limit_bytes > 0) {
    config["linux"]["resources"]["memory"] = {
        {"limit", options.memory_limit_bytes},
        {"swap", options.memory_limit_bytes}};
  }
  return config;
}

inline void WriteBundle(const std::string& bundle,
                        const BundleOptions& options) {
  std::filesystem::create_directories(bundle);
  std::ofstream(bundle + "/config.json") << MakeOciConfig(options).dump();
}

// Removes what is left of a cgroup in every v1 and v2 hierarchy.
inline void RemoveCgroups(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> dirs = {fs::path("/sys/fs/cgroup" + path)};
  for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup", error)) {
    dirs.emplace_back(entry.path().string() + path);
  }
  for (const fs::path& dir : dirs) {
    if (!fs::is_directory(dir, error)) {
      continue;
    }
    std::vector<fs::path> below;
    for (const auto& entry : fs::recursive_directory_iterator(dir, error)) {
      if (entry.is_directory(error)) {
        below.push_back(entry.path());
      }
    }
    for (auto it = below.rbegin(); it != below.rend(); ++it) {
      rmdir(it->c_str());
    }
    rmdir(dir.c_str());
  }
}

}  // namespace quoll::testing
