// SPDX-License-Identifier: Apache-2.0
#include "cri/daemon.h"

#include <errno.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "cri/backends.h"
#include "cri/programs.h"
#include "cri/server.h"
#include "image/layer_store.h"
#include "image/local_image_service.h"
#include "image/reference.h"
#include "os/annotate.h"
#include "os/event_loop.h"
#include "os/files.h"
#include "os/helper.h"
#include "os/record_db.h"
#include "os/status_macros.h"
#include "runtime/anonymous_volumes.h"
#include "runtime/launch/cgroup_tree.h"
#include "runtime/launch/oci_spec.h"
#include "runtime/monitor/command_oci_runtime.h"
#include "runtime/monitor/process_monitors.h"
#include "runtime/network/cni_pod_network.h"
#include "runtime/runtime.h"
#include "runtime/sqlite_record_store.h"
#include "spdlog/spdlog.h"

namespace quoll::cri {
namespace {

// A directory that containers with other users have to pass through, but may
// not list. One that exists keeps its mode: it may be the admin's mount point.
absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  if (os::Exists(path)) {
    return absl::OkStatus();
  }
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(path, mode));
  if (chmod(path.c_str(), mode) != 0) {  // whatever the umask was
    return absl::ErrnoToStatus(errno, absl::StrCat("chmod ", path));
  }
  return absl::OkStatus();
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

image::LocalImageService::Options ImageOptions(const Config& config,
                                               const std::string& layers) {
  image::LocalImageService::Options options;
  options.layers_directory = layers;
  options.registry.http.user_agent = "quoll/" QUOLL_VERSION;
  options.registry.http.ca_file = config.image.ca_file;
  options.registry.plain_http.insert(config.image.plain_http.begin(),
                                     config.image.plain_http.end());
  options.fetch.max_parallel_layers =
      static_cast<int>(config.image.parallel_layers);
  options.fetch.max_parallel_layers_node =
      std::max(options.fetch.max_parallel_layers_node,
               options.fetch.max_parallel_layers);
  return options;
}

runtime::RuntimeOptions ToRuntimeOptions(const Config& config,
                                         const HelperPrograms& helpers) {
  runtime::RuntimeOptions options;
  options.paths = {config.state_dir, config.run_dir};
  options.default_handler = config.runtime.default_handler;
  options.pause_program = helpers.pause;
  options.create_missing_host_paths =
      config.runtime.missing_host_path == "create";
  options.never_create_host_paths = config.runtime.never_create_host_paths;
  options.shm_bytes = config.runtime.shm_size.bytes;
  options.network_timeout = config.network.timeout;
  options.host_path_timeout = config.runtime.host_path_timeout;
  options.runtime_timeout = config.runtime.oci_timeout;
  options.default_sysctls = config.runtime.default_sysctls;
  return options;
}

absl::StatusOr<DaemonFacts> CollectFacts(const Config& config,
                                         const HandlerPrograms& handlers) {
  DaemonFacts facts;
  facts.version = QUOLL_VERSION;
  facts.default_handler = config.runtime.default_handler;
  facts.handlers = handlers.found;
  facts.config_json = ConfigJson(config);
  for (const std::string& name : config.image.pinned) {
    QUOLL_ASSIGN_OR_RETURN(const image::Reference reference,
                           image::ParseReference(name));
    facts.pinned_images.insert(reference.Tagged());
  }
  return facts;
}

}  // namespace

// In dependency order: each refers to earlier ones only and is destroyed before
// them.
struct Daemon::Parts {
  DaemonFacts facts;
  NodeSettings settings;
  std::unique_ptr<os::RecordDb> db;
  std::unique_ptr<os::EventLoop> loop;
  std::optional<os::Helper> helper;
  std::optional<os::HelperMounter> mounter;
  std::optional<os::HelperHostActions> host;
  std::optional<runtime::CgroupTree> cgroups;
  std::optional<runtime::SqliteRecordStore> records;
  std::unique_ptr<runtime::CniPodNetwork> network;
  std::optional<runtime::ProcessMonitors> monitors;
  std::vector<std::unique_ptr<runtime::CommandOciRuntime>> handlers;
  std::vector<std::unique_ptr<runtime::ContainerExtension>> extensions;
  std::optional<runtime::Runtime> runtime;
  std::optional<image::LayerStore> layers;
  std::optional<image::LocalImageService> images;
  std::optional<Backends> backends;
  std::unique_ptr<Server> server;

  absl::Status OpenState(const Config& config);
  absl::Status MakeRuntime(const Config& config, const HelperPrograms& helpers,
                           const HandlerPrograms& programs);
  absl::Status MakeImages(const Config& config, const HelperPrograms& helpers);
  absl::Status Serve(const Config& config);
};

absl::Status Daemon::Parts::OpenState(const Config& config) {
  QUOLL_RETURN_IF_ERROR(MakeDirectory(config.state_dir, 0711));
  QUOLL_RETURN_IF_ERROR(MakeDirectory(config.run_dir, 0711));
  // Its lock is what makes this the only daemon on this state; nothing that is
  // another one's may be touched before.
  QUOLL_ASSIGN_OR_RETURN(db,
                         os::RecordDb::Open(config.state_dir + "/quoll.db"));
  QUOLL_ASSIGN_OR_RETURN(loop, os::EventLoop::Create());
  return absl::OkStatus();
}

absl::Status Daemon::Parts::MakeRuntime(const Config& config,
                                        const HelperPrograms& helpers,
                                        const HandlerPrograms& programs) {
  runtime::RuntimeOptions options = ToRuntimeOptions(config, helpers);
  helper.emplace(helpers.helper);
  mounter.emplace(*helper);
  host.emplace(*helper);
  QUOLL_ASSIGN_OR_RETURN(const std::string mounts,
                         os::ReadFile("/proc/self/mountinfo"));
  QUOLL_ASSIGN_OR_RETURN(cgroups, runtime::CgroupTree::Detect(mounts));
  records.emplace(*db);
  runtime::CniPodNetwork::Options cni;
  cni.conf_dir = config.network.conf_dir;
  cni.bin_dirs = config.network.bin_dirs;
  cni.retry_timeout = config.network.timeout;
  QUOLL_ASSIGN_OR_RETURN(
      network, runtime::CniPodNetwork::Create(std::move(cni), *db, *loop));
  monitors.emplace(
      runtime::ProcessMonitors::Options{.monitor_program = helpers.monitor},
      *loop);

  std::map<std::string, runtime::OciRuntime*> by_name;
  for (const auto& [name, program] : programs.found) {
    handlers.push_back(std::make_unique<runtime::CommandOciRuntime>(
        runtime::OciProgram{.name = name,
                            .program = program,
                            .root = options.paths.OciRoot(name),
                            .global_args = config.runtimes.at(name).args}));
    by_name[name] = handlers.back().get();
  }
  // The written order of the extensions: Prepare runs first to last.
  extensions.push_back(
      std::make_unique<runtime::AnonymousVolumes>(options.paths));
  std::vector<runtime::ContainerExtension*> in_order;
  for (const auto& extension : extensions) {
    in_order.push_back(extension.get());
  }
  runtime.emplace(std::move(options),
                  runtime::RuntimeParts{.records = *records,
                                        .network = *network,
                                        .monitors = *monitors,
                                        .mounter = *mounter,
                                        .host = *host,
                                        .cgroups = *cgroups,
                                        .node = runtime::DetectNode(""),
                                        .handlers = std::move(by_name),
                                        .extensions = std::move(in_order)});
  return os::Annotate(runtime->Recover(), "recover sandboxes and containers");
}

absl::Status Daemon::Parts::MakeImages(const Config& config,
                                       const HelperPrograms& helpers) {
  const std::string root = config.state_dir + "/layers";
  layers.emplace(image::LayerStore::Options{.root = root,
                                            .unpack_program = helpers.unpack},
                 *db);
  // Asked from here on which layers must stay, so the runtime has to know all
  // its containers by now.
  images.emplace(ImageOptions(config, root), *layers, *db,
                 [this] { return runtime->LayersInUse(); });
  return os::Annotate(images->Recover(), "recover images");
}

absl::Status Daemon::Parts::Serve(const Config& config) {
  backends.emplace(Backends{runtime->sandboxes(), runtime->containers(),
                            *images, *network, settings, facts});
  const std::string socket = config.SocketPath();
  QUOLL_RETURN_IF_ERROR(MakeDirectory(ParentOf(socket), 0711));
  QUOLL_ASSIGN_OR_RETURN(server, Server::Start(socket, *backends));
  spdlog::info("serving CRI v1 on {}", socket);
  return absl::OkStatus();
}

Daemon::Daemon() : parts_(std::make_unique<Parts>()) {}

Daemon::~Daemon() = default;

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const Config& config) {
  QUOLL_ASSIGN_OR_RETURN(const std::string self, SelfPath());
  QUOLL_ASSIGN_OR_RETURN(const HelperPrograms helpers,
                         FindHelpers(config.libexec_dir, self));
  QUOLL_ASSIGN_OR_RETURN(const HandlerPrograms programs, FindHandlers(config));
  for (const auto& [name, why] : programs.missing) {
    spdlog::info("runtime handler {} is not offered: {}", name, why);
  }
  std::unique_ptr<Daemon> daemon(new Daemon());
  Parts& parts = *daemon->parts_;
  QUOLL_ASSIGN_OR_RETURN(parts.facts, CollectFacts(config, programs));
  QUOLL_RETURN_IF_ERROR(parts.OpenState(config));
  QUOLL_RETURN_IF_ERROR(parts.MakeRuntime(config, helpers, programs));
  QUOLL_RETURN_IF_ERROR(parts.MakeImages(config, helpers));
  QUOLL_RETURN_IF_ERROR(parts.Serve(config));
  return daemon;
}

void Daemon::Shutdown(absl::Time deadline) {
  parts_->server->Shutdown(deadline);
}

}  // namespace quoll::cri
