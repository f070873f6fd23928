// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/config.h"

#include <string.h>

namespace quoll::runtime::monitor {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Undoes %XX in place; false when it is malformed or hides a NUL.
bool Decode(char* value) {
  char* out = value;
  for (const char* in = value; *in != '\0'; ++in) {
    if (*in != '%') {
      *out++ = *in;
      continue;
    }
    const int high = HexDigit(in[1]);
    const int low = high < 0 ? -1 : HexDigit(in[2]);
    if (low < 0 || high * 16 + low == 0) {
      return false;
    }
    *out++ = static_cast<char>(high * 16 + low);
    in += 2;
  }
  *out = '\0';
  return true;
}

bool SetString(Config* config, const char* key, const char* value) {
  const struct {
    const char* key;
    const char** field;
  } fields[] = {
      {"id", &config->container_id},   {"bundle", &config->bundle},
      {"program", &config->program},   {"root", &config->root},
      {"log_path", &config->log_path}, {"exec_id", &config->exec_id},
  };
  for (const auto& field : fields) {
    if (strcmp(key, field.key) == 0) {
      *field.field = value;
      return true;
    }
  }
  if (strcmp(key, "arg") == 0 && config->arg_count < Config::kMaxArgs) {
    config->args[config->arg_count++] = value;
    return true;
  }
  return false;
}

bool SetFlag(Config* config, const char* key, const char* value) {
  const struct {
    const char* key;
    bool* field;
  } fields[] = {
      {"tty", &config->tty},
      {"stdin", &config->stdin},
      {"stdin_once", &config->stdin_once},
  };
  for (const auto& field : fields) {
    if (strcmp(key, field.key) == 0) {
      *field.field = value[0] == '1';
      return (value[0] == '0' || value[0] == '1') && value[1] == '\0';
    }
  }
  return false;
}

bool SetOther(Config* config, const char* key, const char* value) {
  const char* const end = value + strlen(value);
  if (strcmp(key, "init_pid") == 0) {
    return ParseNumber(value, end, &config->init_pid);
  }
  if (strcmp(key, "init_start_time") == 0) {
    return ParseNumber(value, end, &config->init_start_time);
  }
  if (strcmp(key, "sub_cgroup") != 0) {
    return false;
  }
  if (strcmp(value, "controller") == 0) {
    config->sub_cgroup = SubCgroup::kController;
  } else if (strcmp(value, "plain") == 0) {
    config->sub_cgroup = SubCgroup::kPlain;
  } else {
    return strcmp(value, "none") == 0;
  }
  return true;
}

}  // namespace

const char* ParseConfig(char* text, size_t size, Config* config) {
  if (memchr(text, '\0', size) != nullptr) {
    return "config: NUL byte";
  }
  while (*text != '\0') {
    char* const end = strchr(text, '\n');
    char* const equals = strchr(text, '=');
    if (end == nullptr || equals == nullptr || equals > end) {
      return "config: a line is not key=value";
    }
    *end = '\0';
    *equals = '\0';
    char* const value = equals + 1;
    if (!Decode(value)) {
      return "config: malformed % in a value";
    }
    if (!SetString(config, text, value) && !SetFlag(config, text, value) &&
        !SetOther(config, text, value)) {
      return "config: unknown key or bad value";
    }
    text = end + 1;
  }
  if (config->container_id[0] == '\0' || config->bundle[0] != '/' ||
      config->program[0] != '/' || config->root[0] != '/') {
    return "config: id, bundle, program and root are required";
  }
  return nullptr;
}

}  // namespace quoll::runtime::monitor
