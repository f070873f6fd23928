// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "os/event_loop.h"
#include "os/keyed_mutex.h"
#include "os/record_db.h"
#include "runtime/network/cni_chain.h"
#include "runtime/network/cni_config_dir.h"
#include "runtime/network/cni_journal.h"
#include "runtime/network/cni_plugin_runner.h"
#include "runtime/network/detach_retrier.h"
#include "runtime/network/pod_network.h"

namespace quoll::runtime {

// Pod networking by CNI plugins (spec 0.1.0 to 1.1.0). One attachment:
//
//   record -> ADD -> record with result ... mark -> DEL -> erase record
//               \ error: DEL                         \ error: owed
//
// An owed DEL survives restarts and is repeated until it succeeds. Thread-safe.
// Calls block in plugins, never past their deadline by more than
// cleanup_timeout. No lock but the sandbox's own is held meanwhile.
class CniPodNetwork : public PodNetwork {
 public:
  struct Options {
    std::string conf_dir;               // /etc/cni/net.d
    std::vector<std::string> bin_dirs;  // /opt/cni/bin, /usr/lib/cni
    // Wait between two attempts of an owed DEL: doubled from min to max.
    absl::Duration retry_min = absl::Seconds(1);
    absl::Duration retry_max = absl::Seconds(60);
    absl::Duration retry_timeout = absl::Seconds(60);  // one attempt
    // What DEL gets after an ADD that has used up its caller's time.
    absl::Duration cleanup_timeout = absl::Seconds(10);
    int max_plugins = 16;  // running at once
  };

  // Owed DELs start with Recover(), not before.
  static absl::StatusOr<std::unique_ptr<CniPodNetwork>> Create(
      Options options, os::RecordDb& db, os::EventLoop& loop);
  // Ends plugins that run. What is owed stays owed.
  ~CniPodNetwork() override;

  absl::Status Ready() const override;
  absl::StatusOr<Attachment> Attach(const Request& request,
                                    absl::Time deadline) override;
  absl::Status Detach(absl::string_view sandbox_id,
                      absl::Time deadline) override;
  // NotFound when the sandbox has no attachment.
  absl::Status Check(absl::string_view sandbox_id,
                     absl::Time deadline) override;
  bool OwesDetach(absl::string_view sandbox_id) const override;
  absl::Status Recover(absl::Span<const std::string> live) override;

 private:
  CniPodNetwork(Options options, os::RecordDb& db);

  // The two halves of Attach; the sandbox's lock is held.
  absl::StatusOr<Attachment> Add(NetworkAttachment& attachment,
                                 absl::Time deadline);
  absl::Status Undo(NetworkAttachment& attachment, const absl::Status& cause,
                    absl::Time deadline);
  // Marks, DELs, erases; the sandbox's lock is held. On error the record says
  // how often that was.
  absl::Status Delete(NetworkAttachment& attachment, absl::Time deadline);
  // Delete() for a caller: short hiccups are waited out, then it is owed.
  absl::Status DeleteOrOwe(NetworkAttachment& attachment, absl::Time deadline);
  absl::Status RetryDelete(const std::string& sandbox_id);

  const Options options_;
  CniPluginRunner plugins_;
  const CniChain chain_;
  CniJournal journal_;
  // By sandbox id: a caller's operations against background retries.
  os::KeyedMutex locks_;
  std::unique_ptr<CniConfigDir> config_;
  std::unique_ptr<DetachRetrier> owed_;  // its threads use all of the above
};

}  // namespace quoll::runtime
