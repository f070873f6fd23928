// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <cstddef>

namespace quoll::runtime::monitor {

// Builds a NUL-terminated string in a buffer of fixed size: the monitor has no
// heap worth speaking of, and snprintf(3) would drag locales into its memory.
// What does not fit is cut off, and ok() says so from then on.
template <size_t kSize>
class Text {
 public:
  Text() = default;

  Text& Add(const char* text) { return Add(text, strlen(text)); }
  Text& Add(const char* text, size_t length) {
    if (length > kSize - 1 - length_) {
      length = kSize - 1 - length_;
      ok_ = false;
    }
    memcpy(data_ + length_, text, length);
    length_ += length;
    data_[length_] = '\0';
    return *this;
  }
  Text& AddNumber(uint64_t number, int min_digits = 1) {
    char digits[20];
    int used = 0;
    do {
      digits[sizeof(digits) - ++used] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0 || used < min_digits);
    return Add(digits + sizeof(digits) - used, static_cast<size_t>(used));
  }
  void Clear() { Truncate(0); }
  void Truncate(size_t length) {
    length_ = length;
    data_[length_] = '\0';
    ok_ = true;
  }

  const char* c_str() const { return data_; }
  char* data() { return data_; }
  size_t size() const { return length_; }
  bool empty() const { return length_ == 0; }
  bool ok() const { return ok_; }

 private:
  char data_[kSize] = {};
  size_t length_ = 0;
  bool ok_ = true;
};

using PathText = Text<4096>;

// Decimal digits at `text`; false unless the whole of [text, end) is a number
// that fits.
inline bool ParseNumber(const char* text, const char* end, uint64_t* number) {
  if (text == end || end - text > 19) {
    return false;
  }
  *number = 0;
  for (; text != end; ++text) {
    if (*text < '0' || *text > '9') {
      return false;
    }
    *number = *number * 10 + static_cast<uint64_t>(*text - '0');
  }
  return true;
}

}  // namespace quoll::runtime::monitor
