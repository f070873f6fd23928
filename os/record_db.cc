// SPDX-License-Identifier: Apache-2.0
#include "os/record_db.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>

#include <cerrno>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "os/annotate.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"

namespace quoll::os {
namespace {

// Of the layout (tables of key and value), not of the records in it: those
// carry a number of their own. Kept in the file as PRAGMA user_version.
constexpr int kFormat = 1;
// A person may look at the file with sqlite3(1) while the daemon runs; their
// read lock only ever delays a checkpoint, but is given this long anyway.
constexpr int kBusyTimeoutMs = 5000;

absl::StatusCode CodeOf(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return absl::StatusCode::kDataLoss;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

// Names are put into SQL text (they cannot be bound): quoted there, because one
// may be a word of SQL, and restricted here, so that quoting is enough.
absl::Status CheckTableName(absl::string_view table) {
  for (const char c : table) {
    if ((c < 'a' || c > 'z') && c != '_') {
      return absl::InvalidArgumentError(
          absl::StrCat("table name \"", table, "\" has more than a-z and _"));
    }
  }
  return table.empty() ? absl::InvalidArgumentError("table name is empty")
                       : absl::OkStatus();
}

// A prepared statement.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* stmt) : stmt_(stmt) {}
  Statement(Statement&& other) noexcept
      : stmt_(std::exchange(other.stmt_, nullptr)) {}
  Statement& operator=(Statement&& other) noexcept {
    std::swap(stmt_, other.stmt_);
    return *this;
  }
  ~Statement() { sqlite3_finalize(stmt_); }
  sqlite3_stmt* get() const { return stmt_; }

 private:
  sqlite3_stmt* stmt_ = nullptr;
};

// One connection. Not thread-safe: its owner serialises.
class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    put_.clear();
    erase_.clear();
    sqlite3_close(db_);
  }

  absl::Status Open(const std::string& path) {
    // SQLITE_OPEN_NOMUTEX: we have a lock of our own around it.
    const int rc =
        sqlite3_open_v2(path.c_str(), &db_,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (rc != SQLITE_OK) {
      return Error(rc, "open");
    }
    sqlite3_busy_timeout(db_, kBusyTimeoutMs);
    return absl::OkStatus();
  }

  absl::Status Error(int rc, absl::string_view step) const {
    return absl::Status(CodeOf(rc),
                        absl::StrCat(step, ": ",
                                     db_ != nullptr ? sqlite3_errmsg(db_)
                                                    : sqlite3_errstr(rc)));
  }

  absl::Status Run(const char* sql) {
    const int rc = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
    return rc == SQLITE_OK ? absl::OkStatus() : Error(rc, sql);
  }

  absl::StatusOr<Statement> Prepare(const std::string& sql) const {
    sqlite3_stmt* stmt = nullptr;
    const int rc = sqlite3_prepare_v2(
        db_, sql.c_str(), static_cast<int>(sql.size()), &stmt, nullptr);
    if (rc != SQLITE_OK) {
      return Error(rc, sql);
    }
    return Statement(stmt);
  }

  // First column of the first row.
  absl::StatusOr<std::string> Ask(const std::string& sql) const {
    QUOLL_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
    const int rc = sqlite3_step(statement.get());
    if (rc != SQLITE_ROW) {
      return Error(rc, sql);
    }
    return Text(statement.get(), 0);
  }

  static std::string Text(sqlite3_stmt* stmt, int column) {
    const void* data = sqlite3_column_blob(stmt, column);
    const int size = sqlite3_column_bytes(stmt, column);
    return data == nullptr ? std::string()
                           : std::string(static_cast<const char*>(data),
                                         static_cast<size_t>(size));
  }

  absl::StatusOr<bool> HasTable(absl::string_view table) const {
    QUOLL_ASSIGN_OR_RETURN(
        Statement statement,
        Prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' "
                "AND name = ?1"));
    sqlite3_bind_text64(statement.get(), 1, table.data(), table.size(),
                        SQLITE_STATIC, SQLITE_UTF8);
    const int rc = sqlite3_step(statement.get());
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
      return Error(rc, "read sqlite_master");
    }
    return rc == SQLITE_ROW;
  }

  // Inside a transaction.
  absl::Status Write(const RecordDb::Change& change) {
    if (!tables_.contains(change.table)) {
      QUOLL_RETURN_IF_ERROR(
          Run(absl::StrCat("CREATE TABLE IF NOT EXISTS \"", change.table,
                           "\" (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
                  .c_str()));
      tables_.insert(change.table);
    }
    auto& cache = change.erase ? erase_ : put_;
    auto it = cache.find(change.table);
    if (it == cache.end()) {
      QUOLL_ASSIGN_OR_RETURN(
          Statement statement,
          Prepare(
              change.erase
                  ? absl::StrCat("DELETE FROM \"", change.table,
                                 "\" WHERE key = ?1")
                  : absl::StrCat("INSERT INTO \"", change.table,
                                 "\" (key, value) VALUES (?1, ?2) ON CONFLICT"
                                 " (key) DO UPDATE SET value = ?2")));
      it = cache.emplace(change.table, std::move(statement)).first;
    }
    sqlite3_stmt* stmt = it->second.get();
    int rc = sqlite3_bind_text64(stmt, 1, change.key.data(), change.key.size(),
                                 SQLITE_STATIC, SQLITE_UTF8);
    if (rc == SQLITE_OK && !change.erase) {
      // An empty std::string may have no data(); NULL would violate NOT NULL.
      rc = change.value.empty()
               ? sqlite3_bind_zeroblob(stmt, 2, 0)
               : sqlite3_bind_blob64(stmt, 2, change.value.data(),
                                     change.value.size(), SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
      rc = sqlite3_step(stmt);
    }
    absl::Status status =
        rc == SQLITE_DONE
            ? absl::OkStatus()
            : Error(rc, absl::StrCat("write ", change.table, "/", change.key));
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return status;
  }

  // Also forgets which tables exist: one may have been made in there.
  void Rollback() {
    tables_.clear();
    if (sqlite3_get_autocommit(db_) == 0) {
      sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    }
  }

  void ForgetTables() { tables_.clear(); }

 private:
  sqlite3* db_ = nullptr;
  std::set<std::string> tables_;
  std::map<std::string, Statement> put_;
  std::map<std::string, Statement> erase_;
};

// Everything that must hold before the file is written to.
absl::Status CheckContent(Connection& db) {
  // The first read finds out whether it is a database at all.
  QUOLL_ASSIGN_OR_RETURN(std::string version, db.Ask("PRAGMA user_version"));
  QUOLL_ASSIGN_OR_RETURN(std::string tables,
                         db.Ask("SELECT count(*) FROM sqlite_master"));
  if (version == "0" && tables != "0") {
    return absl::DataLossError("is a database, but not one of Quoll's");
  }
  if (version != "0" && version != absl::StrCat(kFormat)) {
    return absl::FailedPreconditionError(
        absl::StrCat("has format ", version, ", this quolld knows ", kFormat,
                     "; run the version that wrote it"));
  }
  QUOLL_ASSIGN_OR_RETURN(std::string check, db.Ask("PRAGMA quick_check(1)"));
  if (check != "ok") {
    return absl::DataLossError(absl::StrCat("quick_check: ", check));
  }
  return absl::OkStatus();
}

absl::Status Configure(Connection& db) {
  // WAL: readers and the writer do not wait for each other, one fsync a commit.
  // FULL: that fsync happens before the commit returns (NORMAL may lose it).
  QUOLL_ASSIGN_OR_RETURN(std::string mode, db.Ask("PRAGMA journal_mode = WAL"));
  if (mode != "wal") {
    return absl::FailedPreconditionError(
        absl::StrCat("journal_mode is ", mode,
                     " instead of wal; is it on a network file system?"));
  }
  QUOLL_RETURN_IF_ERROR(db.Run("PRAGMA synchronous = FULL"));
  return db.Run(absl::StrCat("PRAGMA user_version = ", kFormat).c_str());
}

absl::StatusOr<UniqueFd> TakeLock(const std::string& path) {
  // A file beside the database: SQLite's own POSIX locks on it would be lost
  // the moment this process closed another descriptor of it.
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  }
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error == EWOULDBLOCK) {
      return absl::FailedPreconditionError(
          absl::StrCat("another process holds ", path,
                       "; is a quolld already running on this directory?"));
    }
    return absl::ErrnoToStatus(error, absl::StrCat("lock ", path));
  }
  return fd;
}

}  // namespace

struct RecordDb::Impl {
  // One caller's changes, waiting for the writer. Lives on the caller's stack.
  struct Batch {
    std::vector<Change> changes;
    absl::Status status;
    bool done = false;
  };

  std::string path;
  UniqueFd lock;

  // Held over I/O: readers (start-up, mostly) and the writer share one
  // connection.
  mutable absl::Mutex connection_mutex;
  Connection connection ABSL_GUARDED_BY(connection_mutex);

  absl::Mutex queue_mutex;
  std::vector<Batch*> queue ABSL_GUARDED_BY(queue_mutex);
  bool stopping ABSL_GUARDED_BY(queue_mutex) = false;
  std::thread writer;

  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(queue_mutex) {
    return stopping || !queue.empty();
  }

  void Write() {
    while (true) {
      std::vector<Batch*> batches;
      {
        absl::MutexLock held(&queue_mutex);
        queue_mutex.Await(absl::Condition(this, &Impl::HasWork));
        if (queue.empty()) {
          return;
        }
        batches.swap(queue);
      }
      const absl::Status committed = Commit(batches);
      absl::MutexLock held(&queue_mutex);
      for (Batch* batch : batches) {
        if (!committed.ok()) {
          batch->status = committed;
        }
        batch->done = true;
      }
    }
  }

  // One transaction for all; each caller's changes in a savepoint, so that one
  // who fails takes nobody with it. An error concerns them all.
  absl::Status Commit(const std::vector<Batch*>& batches) {
    absl::MutexLock held(&connection_mutex);
    QUOLL_RETURN_IF_ERROR(Annotate(connection.Run("BEGIN IMMEDIATE"), path));
    for (Batch* batch : batches) {
      batch->status = ApplyOne(*batch);
      if (absl::IsAborted(batch->status)) {
        connection.Rollback();
        return Annotate(batch->status, path);
      }
    }
    if (absl::Status status = connection.Run("COMMIT"); !status.ok()) {
      connection.Rollback();
      return Annotate(status, path);
    }
    return absl::OkStatus();
  }

  // Aborted when the whole transaction is gone: some errors (a full disk) roll
  // it back at once, whatever savepoint they came in.
  absl::Status ApplyOne(const Batch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(connection_mutex) {
    QUOLL_RETURN_IF_ERROR(connection.Run("SAVEPOINT batch"));
    for (const Change& change : batch.changes) {
      const absl::Status written = connection.Write(change);
      if (written.ok()) {
        continue;
      }
      connection.ForgetTables();
      if (!connection.Run("ROLLBACK TO batch").ok() ||
          !connection.Run("RELEASE batch").ok()) {
        return absl::AbortedError(written.message());
      }
      return Annotate(written, path);
    }
    return connection.Run("RELEASE batch");
  }
};

RecordDb::RecordDb() : impl_(std::make_unique<Impl>()) {}

RecordDb::~RecordDb() {
  {
    absl::MutexLock held(&impl_->queue_mutex);
    impl_->stopping = true;
  }
  if (impl_->writer.joinable()) {
    impl_->writer.join();
  }
}

absl::StatusOr<std::unique_ptr<RecordDb>> RecordDb::Open(
    const std::string& path) {
  std::unique_ptr<RecordDb> db(new RecordDb());
  Impl& impl = *db->impl_;
  impl.path = path;
  QUOLL_ASSIGN_OR_RETURN(impl.lock, TakeLock(absl::StrCat(path, ".lock")));
  // Made here so that its mode is ours; SQLite gives -wal and -shm the same.
  {
    const UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file.valid()) {
      return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
    }
  }
  {
    absl::MutexLock held(&impl.connection_mutex);
    absl::Status status = impl.connection.Open(path);
    if (status.ok()) {
      status = CheckContent(impl.connection);
    }
    if (status.ok()) {
      status = Configure(impl.connection);
    }
    if (absl::IsDataLoss(status)) {
      return Annotate(Annotate(status, path),
                      "the database cannot be used (it was left as it is; move "
                      "it away or restore a copy)");
    }
    QUOLL_RETURN_IF_ERROR(Annotate(status, path));
  }
  impl.writer = std::thread([&impl] { impl.Write(); });
  return db;
}

absl::Status RecordDb::Put(absl::string_view table, absl::string_view key,
                           absl::string_view value) {
  return Apply({{.table = std::string(table),
                 .key = std::string(key),
                 .value = std::string(value)}});
}

absl::Status RecordDb::Delete(absl::string_view table, absl::string_view key) {
  return Apply({{.table = std::string(table),
                 .key = std::string(key),
                 .value = {},
                 .erase = true}});
}

absl::Status RecordDb::Apply(std::vector<Change> changes) {
  for (const Change& change : changes) {
    QUOLL_RETURN_IF_ERROR(CheckTableName(change.table));
  }
  if (changes.empty()) {
    return absl::OkStatus();
  }
  Impl::Batch batch;
  batch.changes = std::move(changes);
  absl::MutexLock held(&impl_->queue_mutex);
  impl_->queue.push_back(&batch);
  impl_->queue_mutex.Await(absl::Condition(&batch.done));
  return batch.status;
}

absl::StatusOr<std::string> RecordDb::Get(absl::string_view table,
                                          absl::string_view key) const {
  QUOLL_RETURN_IF_ERROR(CheckTableName(table));
  const Impl& impl = *impl_;
  absl::MutexLock held(&impl.connection_mutex);
  QUOLL_ASSIGN_OR_RETURN(const bool exists, impl.connection.HasTable(table));
  if (exists) {
    QUOLL_ASSIGN_OR_RETURN(
        Statement statement,
        impl.connection.Prepare(
            absl::StrCat("SELECT value FROM \"", table, "\" WHERE key = ?1")));
    sqlite3_bind_text64(statement.get(), 1, key.data(), key.size(),
                        SQLITE_STATIC, SQLITE_UTF8);
    const int rc = sqlite3_step(statement.get());
    if (rc == SQLITE_ROW) {
      return Connection::Text(statement.get(), 0);
    }
    if (rc != SQLITE_DONE) {
      return Annotate(impl.connection.Error(rc, absl::StrCat("read ", table)),
                      impl.path);
    }
  }
  return absl::NotFoundError(absl::StrCat("no ", table, " record of ", key));
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>>
RecordDb::LoadAll(absl::string_view table) const {
  QUOLL_RETURN_IF_ERROR(CheckTableName(table));
  std::vector<std::pair<std::string, std::string>> rows;
  const Impl& impl = *impl_;
  absl::MutexLock held(&impl.connection_mutex);
  QUOLL_ASSIGN_OR_RETURN(const bool exists, impl.connection.HasTable(table));
  if (!exists) {
    return rows;
  }
  QUOLL_ASSIGN_OR_RETURN(
      Statement statement,
      impl.connection.Prepare(
          absl::StrCat("SELECT key, value FROM \"", table, "\" ORDER BY key")));
  int rc = SQLITE_ROW;
  while ((rc = sqlite3_step(statement.get())) == SQLITE_ROW) {
    rows.emplace_back(Connection::Text(statement.get(), 0),
                      Connection::Text(statement.get(), 1));
  }
  if (rc != SQLITE_DONE) {
    return Annotate(impl.connection.Error(rc, absl::StrCat("read ", table)),
                    impl.path);
  }
  return rows;
}

}  // namespace quoll::os
