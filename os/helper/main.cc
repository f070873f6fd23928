// SPDX-License-Identifier: Apache-2.0
// quoll-helper: one system call that can hang, or that only a process with a
// single thread may make, on behalf of quolld. See os/README.md.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "os/helper/commands.h"
#include "os/helper/report.h"

namespace quoll::helper {

const char* ValueOf(const char* argument, const char* key) {
  const size_t length = strlen(key);
  return strncmp(argument, key, length) == 0 && argument[length] == '='
             ? argument + length + 1
             : nullptr;
}

bool IsKey(const char* argument, const char* key) {
  return strcmp(argument, key) == 0;
}

void UnknownArgument(const char* command, const char* argument) {
  Fail(kInvalidArgument,
       "%s: unknown argument \"%s\"; daemon and helper are of different "
       "versions",
       command, argument);
}

void* Allocate(size_t bytes) {
  void* const memory = calloc(1, bytes == 0 ? 1 : bytes);
  if (memory == nullptr) {
    Fail(kResourceExhausted, "out of memory");
  }
  return memory;
}

char* Format(const char* format, ...) {
  char* text = nullptr;
  va_list arguments;
  va_start(arguments, format);
  const int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  if (length < 0) {
    Fail(kResourceExhausted, "out of memory");
  }
  return text;
}

}  // namespace quoll::helper

int main(int argc, char** argv) {
  using namespace quoll::helper;  // NOLINT: the whole program is one namespace
  struct Command {
    const char* name;
    void (*run)(int, char**);
  };
  constexpr Command kCommands[] = {
      {"mount", &MountCommand},     {"overlay", &OverlayCommand},
      {"unmount", &UnmountCommand}, {"pin", &PinCommand},
      {"unpin", &UnpinCommand},     {"probe-path", &ProbePathCommand},
  };
  // Modes given to mkdir(2) and open(2) here are meant as they are.
  umask(022);
  const char* const name = argc > 1 ? argv[1] : "";
  for (const Command& command : kCommands) {
    if (strcmp(name, command.name) == 0) {
      command.run(argc - 2, argv + 2);
      return 0;
    }
  }
  Fail(kInvalidArgument,
       "quoll-helper is run by quolld; it has no sub-command \"%s\"", name);
}
