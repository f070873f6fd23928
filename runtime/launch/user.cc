// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/user.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "os/annotate.h"
#include "os/rooted_path.h"
#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

constexpr size_t kMaxFileBytes = 1u << 20;
// NGROUPS_MAX of the kernel: setgroups(2) refuses more.
constexpr size_t kMaxGroups = 65536;

// Ids are 0 .. 2^31-1: what CRI can say, and well below -1, which the kernel
// takes for "leave as it is".
std::optional<int64_t> ParseId(absl::string_view text) {
  int64_t id = 0;
  if (text.empty() || text.size() > 10) {
    return std::nullopt;
  }
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) {
      return std::nullopt;
    }
    id = id * 10 + (c - '0');
  }
  if (id > std::numeric_limits<int32_t>::max()) {
    return std::nullopt;
  }
  return id;
}

bool IsNumber(absl::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("0123456789") == absl::string_view::npos;
}

absl::Status CheckId(int64_t id, absl::string_view what) {
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " ", id, " is not between 0 and 2147483647"));
  }
  return absl::OkStatus();
}

struct PasswdEntry {
  std::string name;
  int64_t uid = 0;
  int64_t gid = 0;
  std::string home;
};

struct GroupEntry {
  std::string name;
  int64_t gid = 0;
  std::vector<std::string> members;
};

// The fields of the lines that count, as glibc's "files" service reads them:
// blanks before the name, empty lines and comments are skipped, as are NIS
// entries ("+", "-") and anything malformed.
std::vector<std::vector<absl::string_view>> Lines(absl::string_view text,
                                                  size_t min_fields) {
  std::vector<std::vector<absl::string_view>> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripLeadingAsciiWhitespace(line);
    if (line.empty() || line[0] == '#' || line[0] == '+' || line[0] == '-' ||
        line.find('\0') != absl::string_view::npos) {
      continue;
    }
    std::vector<absl::string_view> fields = absl::StrSplit(line, ':');
    if (fields.size() >= min_fields && !fields[0].empty()) {
      lines.push_back(std::move(fields));
    }
  }
  return lines;
}

std::vector<PasswdEntry> ParsePasswd(absl::string_view text) {
  std::vector<PasswdEntry> entries;
  for (const std::vector<absl::string_view>& fields : Lines(text, 4)) {
    const std::optional<int64_t> uid = ParseId(fields[2]);
    const std::optional<int64_t> gid = ParseId(fields[3]);
    if (uid && gid) {
      entries.push_back({std::string(fields[0]), *uid, *gid,
                         fields.size() > 5 ? std::string(fields[5]) : ""});
    }
  }
  return entries;
}

std::vector<GroupEntry> ParseGroup(absl::string_view text) {
  std::vector<GroupEntry> entries;
  for (const std::vector<absl::string_view>& fields : Lines(text, 3)) {
    const std::optional<int64_t> gid = ParseId(fields[2]);
    if (!gid) {
      continue;
    }
    GroupEntry entry{std::string(fields[0]), *gid, {}};
    if (fields.size() > 3) {
      for (absl::string_view member :
           absl::StrSplit(fields[3], ',', absl::SkipWhitespace())) {
        entry.members.emplace_back(absl::StripAsciiWhitespace(member));
      }
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

// Images from scratch have neither file: that is an empty one. Anything else
// (too large, a FIFO, a link that leads nowhere but in circles) is an error.
absl::StatusOr<std::string> ReadOrEmpty(int rootfs_fd,
                                        const std::string& path) {
  absl::StatusOr<std::string> text =
      os::ReadFileInRoot(rootfs_fd, path, kMaxFileBytes);
  if (text.ok()) {
    return text;
  }
  if (absl::IsNotFound(text.status())) {
    return std::string();
  }
  return os::Annotate(text.status(), absl::StrCat("image file ", path));
}

struct Accounts {
  std::vector<PasswdEntry> users;
  std::vector<GroupEntry> groups;

  const PasswdEntry* ByName(absl::string_view name) const {
    for (const PasswdEntry& entry : users) {
      if (entry.name == name) {
        return &entry;
      }
    }
    return nullptr;
  }
  const PasswdEntry* ByUid(int64_t uid) const {
    for (const PasswdEntry& entry : users) {
      if (entry.uid == uid) {
        return &entry;
      }
    }
    return nullptr;
  }
};

struct Identity {
  int64_t uid = 0;
  std::optional<int64_t> gid;          // named beside the user
  const PasswdEntry* entry = nullptr;  // of the user, when there is one
};

absl::Status LookUpUser(const Accounts& accounts, absl::string_view user,
                        Identity& identity) {
  if (user.empty()) {
    identity.uid = 0;
  } else if (IsNumber(user)) {
    const std::optional<int64_t> uid = ParseId(user);
    if (!uid) {
      return absl::InvalidArgumentError(
          absl::StrCat("user ", user, " is not between 0 and 2147483647"));
    }
    identity.uid = *uid;
  } else {
    identity.entry = accounts.ByName(user);
    if (identity.entry == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("user \"", user,
                       "\" is not in the image's /etc/passwd; use a number or "
                       "add the user to the image"));
    }
    identity.uid = identity.entry->uid;
    return absl::OkStatus();
  }
  identity.entry = accounts.ByUid(identity.uid);
  return absl::OkStatus();
}

absl::Status LookUpGroup(const Accounts& accounts, absl::string_view group,
                         Identity& identity) {
  if (group.empty()) {
    return absl::OkStatus();
  }
  if (IsNumber(group)) {
    identity.gid = ParseId(group);
    if (!identity.gid) {
      return absl::InvalidArgumentError(
          absl::StrCat("group ", group, " is not between 0 and 2147483647"));
    }
    return absl::OkStatus();
  }
  for (const GroupEntry& entry : accounts.groups) {
    if (entry.name == group) {
      identity.gid = entry.gid;
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("group \"", group,
                   "\" is not in the image's /etc/group; use a number or add "
                   "the group to the image"));
}

// "", "0", "name", "0:0", "name:group", ":group".
absl::StatusOr<Identity> ParseUserText(const Accounts& accounts,
                                       absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  Identity identity;
  QUOLL_RETURN_IF_ERROR(LookUpUser(accounts, parts.first, identity));
  QUOLL_RETURN_IF_ERROR(LookUpGroup(accounts, parts.second, identity));
  return identity;
}

absl::StatusOr<Identity> Identify(const Accounts& accounts,
                                  const state::v1::User& requested,
                                  const std::string& image_user) {
  if (requested.who_case() == state::v1::User::kUid) {
    QUOLL_RETURN_IF_ERROR(CheckId(requested.uid(), "user"));
    return Identity{requested.uid(), std::nullopt,
                    accounts.ByUid(requested.uid())};
  }
  if (!requested.name().empty()) {
    return ParseUserText(accounts, requested.name());
  }
  if (requested.has_gid()) {
    // CRI demands this error: a group says nothing without its user.
    return absl::InvalidArgumentError(
        "run_as_group is given without run_as_user or run_as_username");
  }
  absl::StatusOr<Identity> found = ParseUserText(accounts, image_user);
  return found.ok() ? found : os::Annotate(found.status(), "the image's USER");
}

}  // namespace

absl::StatusOr<state::v1::User> ResolveUser(int rootfs_fd,
                                            const state::v1::User& requested,
                                            bool has_request,
                                            const std::string& image_user) {
  const state::v1::User& request =
      has_request ? requested : state::v1::User::default_instance();
  Accounts accounts;
  QUOLL_ASSIGN_OR_RETURN(std::string passwd,
                         ReadOrEmpty(rootfs_fd, "/etc/passwd"));
  QUOLL_ASSIGN_OR_RETURN(std::string group,
                         ReadOrEmpty(rootfs_fd, "/etc/group"));
  accounts.users = ParsePasswd(passwd);
  accounts.groups = ParseGroup(group);

  QUOLL_ASSIGN_OR_RETURN(Identity identity,
                         Identify(accounts, request, image_user));
  if (request.has_gid()) {
    QUOLL_RETURN_IF_ERROR(CheckId(request.gid(), "group"));
    identity.gid = request.gid();
  } else if (!identity.gid) {
    identity.gid = identity.entry != nullptr ? identity.entry->gid : 0;
  }

  // The primary group is one of the supplemental ones too, as login(1) has it:
  // a file whose group is denied access stays denied after setgid(2).
  std::set<int64_t> groups{*identity.gid};
  for (const int64_t gid : request.supplemental_groups()) {
    QUOLL_RETURN_IF_ERROR(CheckId(gid, "supplemental group"));
    groups.insert(gid);
  }
  if (!request.strict_supplemental_groups() && identity.entry != nullptr) {
    for (const GroupEntry& entry : accounts.groups) {
      for (const std::string& member : entry.members) {
        if (member == identity.entry->name) {
          groups.insert(entry.gid);
        }
      }
    }
  }
  if (groups.size() > kMaxGroups) {
    return absl::InvalidArgumentError(
        absl::StrCat("user ", identity.uid, " is in ", groups.size(),
                     " groups; the kernel takes 65536"));
  }

  state::v1::User result;
  result.set_uid(identity.uid);
  result.set_has_gid(true);
  result.set_gid(*identity.gid);
  for (const int64_t gid : groups) {
    result.add_supplemental_groups(gid);
  }
  result.set_strict_supplemental_groups(request.strict_supplemental_groups());
  return result;
}

std::string HomeDirectory(int rootfs_fd, int64_t uid) {
  const absl::StatusOr<std::string> text =
      os::ReadFileInRoot(rootfs_fd, "/etc/passwd", kMaxFileBytes);
  if (text.ok()) {
    for (const PasswdEntry& entry : ParsePasswd(*text)) {
      if (entry.uid == uid) {
        return entry.home.substr(0, 1) == "/" ? entry.home : "/";
      }
    }
  }
  return "/";
}

}  // namespace quoll::runtime
