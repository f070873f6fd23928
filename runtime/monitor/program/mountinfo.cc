// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/mountinfo.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runtime/monitor/program/files.h"

namespace quoll::runtime::monitor {
namespace {

// "\040" and the like, in place.
void Unescape(char* text) {
  char* out = text;
  for (const char* in = text; *in != '\0'; ++in) {
    if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' &&
        in[2] <= '7' && in[3] >= '0' && in[3] <= '7') {
      *out++ = static_cast<char>((in[1] - '0') * 64 + (in[2] - '0') * 8 +
                                 (in[3] - '0'));
      in += 3;
    } else {
      *out++ = *in;
    }
  }
  *out = '\0';
}

// Cuts the field that begins at *text off; nullptr when there is none.
char* TakeField(char** text) {
  char* const field = *text;
  if (field == nullptr || *field == '\0') {
    return nullptr;
  }
  char* const space = strchr(field, ' ');
  if (space != nullptr) {
    *space = '\0';
    *text = space + 1;
  } else {
    *text = nullptr;
  }
  return field;
}

}  // namespace

Mountinfo::Mountinfo()
    : fd_(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {}

Mountinfo::~Mountinfo() {
  CloseFd(&fd_);
}

bool Mountinfo::Next() {
  while (char* const line = NextLine()) {
    if (ParseLine(line)) {
      return true;
    }
  }
  return false;
}

char* Mountinfo::NextLine() {
  for (;;) {
    char* const begin = buffer_ + begin_;
    if (void* found = memchr(begin, '\n', end_ - begin_)) {
      char* const newline = static_cast<char*>(found);
      *newline = '\0';
      begin_ = static_cast<size_t>(newline + 1 - buffer_);
      if (!skipping_) {
        return begin;
      }
      skipping_ = false;
      continue;
    }
    memmove(buffer_, begin, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (end_ == sizeof(buffer_)) {
      skipping_ = true;
      end_ = 0;
    }
    const ssize_t got =
        fd_ < 0 ? 0 : read(fd_, buffer_ + end_, sizeof(buffer_) - end_);
    if (got <= 0) {
      return nullptr;
    }
    end_ += static_cast<size_t>(got);
  }
}

bool Mountinfo::ParseLine(char* line) {
  TakeField(&line);  // mount id
  TakeField(&line);  // parent id
  TakeField(&line);  // device
  char* const root = TakeField(&line);
  char* const mount_point = TakeField(&line);
  TakeField(&line);  // options
  char* field = TakeField(&line);
  while (field != nullptr && strcmp(field, "-") != 0) {
    field = TakeField(&line);  // optional fields
  }
  char* const fstype = TakeField(&line);
  TakeField(&line);  // source
  char* const super_options = TakeField(&line);
  if (super_options == nullptr) {
    return false;
  }
  Unescape(root);
  Unescape(mount_point);
  root_ = root;
  mount_point_ = mount_point;
  fstype_ = fstype;
  super_options_ = super_options;
  return true;
}

}  // namespace quoll::runtime::monitor
