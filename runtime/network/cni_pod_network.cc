// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_pod_network.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/status_macros.h"
#include "runtime/network/cni_attachment.h"
#include "runtime/network/cni_result.h"
#include "spdlog/spdlog.h"

namespace quoll::runtime {
namespace {

// DELs that change nftables at the same moment can fail with EBUSY and succeed
// right after (seen with iptables-nft 1.8.9 and twenty at once): worth another
// try before the caller is told. DEL is idempotent.
constexpr std::array<absl::Duration, 2> kQuickRepeats = {
    absl::Milliseconds(50), absl::Milliseconds(200)};

std::string Subject(absl::string_view sandbox_id) {
  return absl::StrCat("sandbox ", sandbox_id);
}

}  // namespace

CniPodNetwork::CniPodNetwork(Options options, os::RecordDb& db)
    : options_(std::move(options)),
      plugins_({options_.bin_dirs, options_.max_plugins}),
      chain_(plugins_),
      journal_(db) {}

CniPodNetwork::~CniPodNetwork() {
  plugins_.Stop();  // or a DEL that hangs would hold up the daemon's end
}

absl::StatusOr<std::unique_ptr<CniPodNetwork>> CniPodNetwork::Create(
    Options options, os::RecordDb& db, os::EventLoop& loop) {
  std::unique_ptr<CniPodNetwork> network(
      new CniPodNetwork(std::move(options), db));
  QUOLL_ASSIGN_OR_RETURN(
      network->config_, CniConfigDir::Create(network->options_.conf_dir, loop));
  DetachRetrier::Options retry;
  retry.retry_min = network->options_.retry_min;
  retry.retry_max = network->options_.retry_max;
  QUOLL_ASSIGN_OR_RETURN(
      network->owed_,
      DetachRetrier::Create(
          retry, [raw = network.get()](const std::string& sandbox_id) {
            return raw->RetryDelete(sandbox_id);
          }));
  return network;
}

absl::Status CniPodNetwork::Ready() const {
  return config_->Current().status();
}

absl::StatusOr<PodNetwork::Attachment> CniPodNetwork::Attach(
    const Request& request, absl::Time deadline) {
  const std::string subject = Subject(request.sandbox_id);
  absl::StatusOr<std::shared_ptr<const CniNetwork>> network =
      config_->Current();
  if (!network.ok()) {
    return os::Annotate(network.status(), subject);
  }
  absl::StatusOr<NetworkAttachment> attachment =
      MakeAttachment(request, **network);
  if (!attachment.ok()) {
    return os::Annotate(attachment.status(), subject);
  }
  // Before anything is begun: of a chain with a plugin that is not there, DEL
  // would fail like ADD did, and be owed for as long as it is not installed.
  for (const CniNetwork::Plugin& plugin : (*network)->plugins) {
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(plugins_.CheckInstalled(plugin.type, "ADD"), subject));
  }
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock lock,
                         locks_.Acquire(request.sandbox_id, deadline));
  // The spec forbids a second ADD without a DEL in between, which would leak
  // what the first one took.
  absl::StatusOr<NetworkAttachment> leftover = journal_.Get(request.sandbox_id);
  if (leftover.ok()) {
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(DeleteOrOwe(*leftover, deadline),
                     absl::StrCat(subject, ": undo an earlier CNI ADD")));
  } else if (!absl::IsNotFound(leftover.status())) {
    return leftover.status();
  }
  absl::StatusOr<Attachment> attached = Add(*attachment, deadline);
  if (!attached.ok()) {
    return os::Annotate(Undo(*attachment, attached.status(), deadline),
                        subject);
  }
  return attached;
}

absl::StatusOr<PodNetwork::Attachment> CniPodNetwork::Add(
    NetworkAttachment& attachment, absl::Time deadline) {
  QUOLL_RETURN_IF_ERROR(journal_.Put(attachment));
  Attachment attached;
  QUOLL_ASSIGN_OR_RETURN(attached.result_json,
                         chain_.Add(attachment, deadline));
  attachment.set_result_json(attached.result_json);
  absl::StatusOr<std::vector<std::string>> ips =
      CniResultAddresses(attached.result_json, attachment.ifname());
  if (!ips.ok()) {
    return os::Annotate(ips.status(), "result of CNI ADD");
  }
  attached.ips = *std::move(ips);
  QUOLL_RETURN_IF_ERROR(journal_.Put(attachment));
  return attached;
}

absl::Status CniPodNetwork::Undo(NetworkAttachment& attachment,
                                 const absl::Status& cause,
                                 absl::Time deadline) {
  const absl::Status undone = DeleteOrOwe(
      attachment, std::max(deadline, absl::Now() + options_.cleanup_timeout));
  if (undone.ok()) {
    return cause;
  }
  return absl::Status(
      cause.code(),
      absl::StrCat(cause.message(), "; undoing it failed too and is retried: ",
                   undone.message()));
}

absl::Status CniPodNetwork::DeleteOrOwe(NetworkAttachment& attachment,
                                        absl::Time deadline) {
  absl::Status status = Delete(attachment, deadline);
  for (const absl::Duration pause : kQuickRepeats) {
    if (status.ok() || os::IsGivingUp(status) ||
        absl::Now() + pause >= deadline) {
      break;
    }
    absl::SleepFor(pause);
    status = Delete(attachment, deadline);
  }
  if (!status.ok()) {
    owed_->Owe(attachment.sandbox_id(), attachment.delete_attempts());
  }
  return status;
}

absl::Status CniPodNetwork::Delete(NetworkAttachment& attachment,
                                   absl::Time deadline) {
  attachment.set_deleting(true);
  attachment.set_delete_attempts(attachment.delete_attempts() + 1);
  // A disk that is full must not keep the address from being given back: DEL
  // runs without the mark too, and may be repeated.
  const absl::Status marked = journal_.Put(attachment);
  const absl::Status deleted = chain_.Delete(attachment, deadline);
  if (!deleted.ok()) {
    return os::FirstError(deleted, marked);
  }
  QUOLL_RETURN_IF_ERROR(journal_.Erase(attachment.sandbox_id()));
  owed_->Settle(attachment.sandbox_id());
  return absl::OkStatus();
}

absl::Status CniPodNetwork::Detach(absl::string_view sandbox_id,
                                   absl::Time deadline) {
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock lock,
                         locks_.Acquire(sandbox_id, deadline));
  absl::StatusOr<NetworkAttachment> attachment = journal_.Get(sandbox_id);
  if (absl::IsNotFound(attachment.status())) {
    return absl::OkStatus();
  }
  QUOLL_RETURN_IF_ERROR(attachment.status());
  return os::Annotate(DeleteOrOwe(*attachment, deadline), Subject(sandbox_id));
}

absl::Status CniPodNetwork::RetryDelete(const std::string& sandbox_id) {
  const absl::Time deadline = absl::Now() + options_.retry_timeout;
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock lock,
                         locks_.Acquire(sandbox_id, deadline));
  absl::StatusOr<NetworkAttachment> attachment = journal_.Get(sandbox_id);
  if (absl::IsNotFound(attachment.status())) {
    return absl::OkStatus();
  }
  QUOLL_RETURN_IF_ERROR(attachment.status());
  return Delete(*attachment, deadline);
}

absl::Status CniPodNetwork::Check(absl::string_view sandbox_id,
                                  absl::Time deadline) {
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock lock,
                         locks_.Acquire(sandbox_id, deadline));
  const absl::StatusOr<NetworkAttachment> attachment = journal_.Get(sandbox_id);
  if (absl::IsNotFound(attachment.status())) {
    return absl::NotFoundError(
        absl::StrCat(Subject(sandbox_id), ": it is attached to no network"));
  }
  QUOLL_RETURN_IF_ERROR(attachment.status());
  if (attachment->deleting() || attachment->result_json().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        Subject(sandbox_id), ": its attachment to the network ",
        attachment->deleting() ? "is being taken back" : "was never finished"));
  }
  return os::Annotate(chain_.Check(*attachment, deadline), Subject(sandbox_id));
}

bool CniPodNetwork::OwesDetach(absl::string_view sandbox_id) const {
  return owed_->Owes(sandbox_id);
}

absl::Status CniPodNetwork::Recover(absl::Span<const std::string> live) {
  QUOLL_ASSIGN_OR_RETURN(const CniJournal::Loaded loaded, journal_.LoadAll());
  for (const std::string& key : loaded.unreadable) {
    spdlog::error(
        "sandbox {}: its CNI record cannot be read and was set aside; an "
        "address and host ports may stay taken",
        key);
  }
  const std::set<absl::string_view> living(live.begin(), live.end());
  for (const NetworkAttachment& attachment : loaded.attachments) {
    if (attachment.deleting() || !living.contains(attachment.sandbox_id())) {
      owed_->Owe(attachment.sandbox_id(), /*failures=*/0);
    }
  }
  return absl::OkStatus();
}

}  // namespace quoll::runtime
