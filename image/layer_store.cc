// SPDX-License-Identifier: Apache-2.0
#include "image/layer_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

#include "image/layer_facts.h"
#include "image/layer_paths.h"
#include "image/unpacker_process.h"
#include "os/annotate.h"
#include "os/files.h"
#include "os/keyed_mutex.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"
#include "spdlog/spdlog.h"

namespace quoll::image {
namespace {

constexpr char kTable[] = "layers";
constexpr uint32_t kFormat = 1;
// An unpacker dies at once when it is killed, or when its daemon has died,
// unless the disk hangs.
constexpr absl::Duration kDeathTime = absl::Seconds(5);
constexpr size_t kMaxFactsBytes = size_t{256} << 20;

absl::Status InvalidDiffId(absl::string_view diff_id) {
  return absl::InvalidArgumentError(absl::StrCat(
      "layer \"", diff_id, "\": a diff id is sha256: and 64 hex digits"));
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("rename ", from, " to ", to));
  }
  return absl::OkStatus();
}

LayerRecord ToRecord(const LayerFacts& facts) {
  LayerRecord record;
  record.set_format(kFormat);
  record.set_diff_id(facts.diff_id);
  record.set_size_bytes(facts.bytes);
  record.set_inodes(facts.inodes);
  return record;
}

absl::StatusOr<LayerFacts> ReadFacts(const std::string& layer) {
  QUOLL_ASSIGN_OR_RETURN(
      const std::string text,
      os::ReadFile(LayerPaths::Facts(layer), kMaxFactsBytes));
  return ParseLayerFacts(text);
}

// Removes a temporary once no unpacker writes in it any more: the lock that
// quoll-unpack holds ends with it.
absl::Status RemoveTemporary(const std::string& directory) {
  const os::UniqueFd fd(::open(LayerPaths::Fs(directory).c_str(),
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const absl::Time deadline = absl::Now() + kDeathTime;
  while (fd.valid() && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return absl::ErrnoToStatus(errno, absl::StrCat("lock ", directory));
    }
    if (absl::Now() >= deadline) {
      return absl::UnavailableError(
          absl::StrCat(directory,
                       ": a quoll-unpack process still writes it; "
                       "it is removed at the next start"));
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return os::RemoveTree(directory);
}

}  // namespace

struct LayerStore::Impl {
  class Writer;
  // A writer's process that did not die when it was killed.
  struct Orphan {
    std::unique_ptr<UnpackerProcess> process;
    std::string directory;
  };

  Impl(Options options_in, os::RecordDb& db_in)
      : options(std::move(options_in)), paths{options.root}, db(db_in) {}

  absl::Status RecoverLayer(const std::string& hex, bool has_record);
  absl::Status Adopt(const std::string& temporary, const LayerFacts& facts,
                     absl::Time deadline);
  absl::Status Remove(const std::string& diff_id);
  void Remember(const LayerRecord& record);
  bool Knows(absl::string_view diff_id) const;
  void Discard(std::unique_ptr<UnpackerProcess> process, std::string directory,
               absl::Duration patience);
  void DiscardOrphans(absl::Duration patience);

  const Options options;
  const LayerPaths paths;
  os::RecordDb& db;
  // Held by diff id over the steps that make a layer appear or go.
  os::KeyedMutex changes;
  mutable absl::Mutex mutex;
  std::map<std::string, LayerRecord, std::less<>> records
      ABSL_GUARDED_BY(mutex);
  std::vector<Orphan> orphans ABSL_GUARDED_BY(mutex);
};

class LayerStore::Impl::Writer : public LayerWriter {
 public:
  Writer(Impl& store, std::string diff_id, os::Call call, std::string directory,
         std::unique_ptr<UnpackerProcess> process)
      : store_(store),
        diff_id_(std::move(diff_id)),
        call_(std::move(call)),
        directory_(std::move(directory)),
        process_(std::move(process)) {}
  ~Writer() override {
    store_.Discard(std::move(process_), directory_, kDeathTime);
  }

  absl::Status Append(absl::string_view chunk) override {
    return os::Annotate(process_->Write(chunk, call_), Subject());
  }

  absl::Status Commit() override {
    const absl::StatusOr<LayerFacts> facts = process_->Finish(call_);
    if (!facts.ok()) {
      return os::Annotate(facts.status(), Subject());
    }
    if (facts->diff_id != diff_id_) {
      return absl::DataLossError(absl::StrCat(
          Subject(), ": content hashes to ", facts->diff_id,
          "; the image's configuration and its layer do not belong together"));
    }
    return os::Annotate(store_.Adopt(directory_, *facts, call_.deadline),
                        Subject());
  }

 private:
  std::string Subject() const { return absl::StrCat("layer ", diff_id_); }

  Impl& store_;
  const std::string diff_id_;
  const os::Call call_;
  const std::string directory_;
  std::unique_ptr<UnpackerProcess> process_;
};

void LayerStore::Impl::Remember(const LayerRecord& record) {
  const absl::MutexLock lock(&mutex);
  records[record.diff_id()] = record;
}

bool LayerStore::Impl::Knows(absl::string_view diff_id) const {
  const absl::MutexLock lock(&mutex);
  return records.find(diff_id) != records.end();
}

// The layer is on the disk (quoll-unpack has synced it). Its name makes it
// visible, then the record counts it; after a crash between the two Recover()
// takes it over.
absl::Status LayerStore::Impl::Adopt(const std::string& temporary,
                                     const LayerFacts& facts,
                                     absl::Time deadline) {
  const std::string target = paths.Layer(LayerPaths::HexOf(facts.diff_id));
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock lock,
                         changes.Acquire(facts.diff_id, deadline));
  if (Knows(facts.diff_id)) {
    return absl::OkStatus();  // another pull was faster
  }
  // Left by a Put that failed: whole, but so is ours.
  if (!os::Exists(target)) {
    QUOLL_RETURN_IF_ERROR(Rename(temporary, target));
  }
  QUOLL_RETURN_IF_ERROR(os::SyncDirectory(paths.root));
  const LayerRecord record = ToRecord(facts);
  QUOLL_RETURN_IF_ERROR(
      db.Put(kTable, facts.diff_id, record.SerializeAsString()));
  Remember(record);
  return absl::OkStatus();
}

absl::Status LayerStore::Impl::Remove(const std::string& diff_id) {
  const std::string temporary = paths.NewTemporary();
  {
    QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock lock,
                           changes.Acquire(diff_id, absl::InfiniteFuture()));
    // The directory first: a record without one is dropped by Recover(), while
    // a directory without a record would come back.
    const std::string layer = paths.Layer(LayerPaths::HexOf(diff_id));
    if (os::Exists(layer)) {
      QUOLL_RETURN_IF_ERROR(Rename(layer, temporary));
      QUOLL_RETURN_IF_ERROR(os::SyncDirectory(paths.root));
    }
    {
      const absl::MutexLock data_lock(&mutex);
      records.erase(diff_id);
    }
    QUOLL_RETURN_IF_ERROR(db.Delete(kTable, diff_id));
  }
  return os::RemoveTree(temporary);
}

// Ends the process and removes what it wrote. One that does not die is kept for
// later: what it still writes must not come back after the removal.
void LayerStore::Impl::Discard(std::unique_ptr<UnpackerProcess> process,
                               std::string directory, absl::Duration patience) {
  if (!process->Stop(patience)) {
    spdlog::warn("{}: quoll-unpack does not die, its disk hangs", directory);
    const absl::MutexLock lock(&mutex);
    orphans.push_back({std::move(process), std::move(directory)});
    return;
  }
  const absl::Status removed = os::RemoveTree(directory);
  if (!removed.ok()) {
    spdlog::error("remove unfinished layer: {}", removed.ToString());
  }
}

void LayerStore::Impl::DiscardOrphans(absl::Duration patience) {
  std::vector<Orphan> again;
  {
    const absl::MutexLock lock(&mutex);
    again.swap(orphans);
  }
  for (Orphan& orphan : again) {
    Discard(std::move(orphan.process), std::move(orphan.directory), patience);
  }
}

absl::Status LayerStore::Impl::RecoverLayer(const std::string& hex,
                                            bool has_record) {
  const std::string diff_id = absl::StrCat("sha256:", hex);
  if (has_record) {
    return absl::OkStatus();
  }
  QUOLL_ASSIGN_OR_RETURN(const LayerFacts facts, ReadFacts(paths.Layer(hex)));
  if (facts.diff_id != diff_id) {
    return absl::DataLossError(
        absl::StrCat("its facts are about ", facts.diff_id));
  }
  const LayerRecord record = ToRecord(facts);
  QUOLL_RETURN_IF_ERROR(db.Put(kTable, diff_id, record.SerializeAsString()));
  Remember(record);
  spdlog::info("layer {}: had no record, taken over", diff_id);
  return absl::OkStatus();
}

LayerStore::LayerStore(Options options, os::RecordDb& db)
    : impl_(std::make_unique<Impl>(std::move(options), db)) {}

LayerStore::~LayerStore() {
  impl_->DiscardOrphans(absl::ZeroDuration());
}

absl::Status LayerStore::Recover() {
  Impl& impl = *impl_;
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(impl.options.root, 0700));
  QUOLL_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         os::ListDirectory(impl.options.root));
  QUOLL_ASSIGN_OR_RETURN(const auto stored, impl.db.LoadAll(kTable));
  std::set<std::string> directories;
  for (const std::string& name : names) {
    if (LayerPaths::IsLayer(name)) {
      directories.insert(name);
    } else if (!LayerPaths::IsTemporary(name)) {
      spdlog::warn("{}/{}: not of the layer store, left alone",
                   impl.options.root, name);
    } else if (const absl::Status removed =
                   RemoveTemporary(impl.paths.Layer(name));
               !removed.ok()) {
      spdlog::error("remove unfinished layer: {}", removed.ToString());
    }
  }
  absl::Status first_error;
  std::set<std::string> recorded;
  for (const auto& [diff_id, bytes] : stored) {
    const std::string hex = LayerPaths::HexOf(diff_id);
    if (directories.count(hex) == 0) {
      spdlog::warn("layer {}: has no directory, record dropped", diff_id);
      first_error = os::FirstError(std::move(first_error),
                                   impl.db.Delete(kTable, diff_id));
      continue;
    }
    LayerRecord record;
    if (!record.ParseFromString(bytes) || record.diff_id() != diff_id ||
        record.format() != kFormat) {
      spdlog::error("layer {}: record cannot be read, made anew", diff_id);
      continue;
    }
    impl.Remember(record);
    recorded.insert(hex);
  }
  for (const std::string& hex : directories) {
    const absl::Status status =
        impl.RecoverLayer(hex, recorded.count(hex) != 0);
    if (!status.ok()) {
      spdlog::error("{}: left alone: {}", impl.paths.Layer(hex),
                    status.ToString());
    }
  }
  return first_error;
}

bool LayerStore::Has(absl::string_view diff_id) const {
  return impl_->Knows(diff_id);
}

absl::StatusOr<LayerRecord> LayerStore::Get(absl::string_view diff_id) const {
  const absl::MutexLock lock(&impl_->mutex);
  const auto found = impl_->records.find(diff_id);
  if (found == impl_->records.end()) {
    return absl::NotFoundError(
        absl::StrCat("layer ", diff_id, ": not in the store"));
  }
  return found->second;
}

std::string LayerStore::Directory(absl::string_view diff_id) const {
  return LayerPaths::Fs(impl_->paths.Layer(LayerPaths::HexOf(diff_id)));
}

absl::StatusOr<std::vector<std::string>> LayerStore::ImpliedDirectories(
    absl::string_view diff_id) const {
  QUOLL_RETURN_IF_ERROR(Get(diff_id).status());
  absl::StatusOr<LayerFacts> facts =
      ReadFacts(impl_->paths.Layer(LayerPaths::HexOf(diff_id)));
  if (!facts.ok()) {
    return os::Annotate(facts.status(), absl::StrCat("layer ", diff_id));
  }
  return std::move(facts->implied);
}

absl::StatusOr<std::unique_ptr<LayerWriter>> LayerStore::Begin(
    const std::string& diff_id, const os::Call& call) {
  if (LayerPaths::HexOf(diff_id).empty()) {
    return InvalidDiffId(diff_id);
  }
  impl_->DiscardOrphans(absl::ZeroDuration());
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(impl_->options.root, 0700));
  const std::string directory = impl_->paths.NewTemporary();
  if (::mkdir(directory.c_str(), 0700) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("layer ", diff_id, ": make ", directory));
  }
  UnpackerProcess::Options options;
  options.program = impl_->options.unpack_program;
  options.directory = directory;
  options.max_bytes = impl_->options.max_layer_bytes;
  options.max_entries = impl_->options.max_layer_entries;
  options.stall_limit = impl_->options.stall_limit;
  absl::StatusOr<std::unique_ptr<UnpackerProcess>> process =
      UnpackerProcess::Start(options);
  if (!process.ok()) {
    return os::Annotate(
        os::FirstError(process.status(), os::RemoveTree(directory)),
        absl::StrCat("layer ", diff_id));
  }
  return std::make_unique<Impl::Writer>(*impl_, diff_id, call, directory,
                                        *std::move(process));
}

absl::Status LayerStore::RemoveAllBut(const std::set<std::string>& keep) {
  std::vector<std::string> doomed;
  {
    const absl::MutexLock lock(&impl_->mutex);
    for (const auto& [diff_id, record] : impl_->records) {
      if (keep.count(diff_id) == 0) {
        doomed.push_back(diff_id);
      }
    }
  }
  absl::Status first_error;
  for (const std::string& diff_id : doomed) {
    first_error =
        os::FirstError(std::move(first_error),
                       os::Annotate(impl_->Remove(diff_id),
                                    absl::StrCat("remove layer ", diff_id)));
  }
  return first_error;
}

LayerStore::Usage LayerStore::TotalUsage() const {
  const absl::MutexLock lock(&impl_->mutex);
  Usage usage;
  for (const auto& [diff_id, record] : impl_->records) {
    usage.bytes += record.size_bytes();
    usage.inodes += record.inodes();
  }
  return usage;
}

}  // namespace quoll::image
