// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>

// The sub-commands of quoll-helper. Each is called with the arguments after its
// name, "key=value" or a bare "key", and either returns (done, exit code 0) or
// ends the program by Fail() of os/helper/report.h. The list of keys is in
// os/README.md.
namespace quoll::helper {

void MountCommand(int count, char** arguments);
void OverlayCommand(int count, char** arguments);
void UnmountCommand(int count, char** arguments);
void PinCommand(int count, char** arguments);
void UnpinCommand(int count, char** arguments);
void ProbePathCommand(int count, char** arguments);

// The value when `argument` is "key=value", else null. Values are taken as they
// are: every byte that a path may have goes through.
const char* ValueOf(const char* argument, const char* key);
bool IsKey(const char* argument, const char* key);
// Ends the program: InvalidArgument.
[[noreturn]] void UnknownArgument(const char* command, const char* argument);

// malloc(3) and asprintf(3) that end the program when memory is out. Nothing is
// ever freed: the program lives for one call.
void* Allocate(size_t bytes);
__attribute__((format(printf, 1, 2))) char* Format(const char* format, ...);

}  // namespace quoll::helper
