// SPDX-License-Identifier: Apache-2.0
//
// quoll-unpack: unpacks one layer, so that bytes from strangers are never
// parsed inside quolld. README.md has the protocol and the walls around it.
//
//   quoll-unpack [--trailer-fd=N] [--max-bytes=N] [--max-entries=N] DIRECTORY
//
// reads the layer from standard input and writes DIRECTORY/fs (made by this;
// DIRECTORY must exist) and DIRECTORY/layer. Prints the result on standard
// output, or "CODE message" on standard error.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <string>
#include <string_view>

#include "image/unpack/confine.h"
#include "image/unpack/error.h"
#include "image/unpack/input.h"
#include "image/unpack/layer_tree.h"
#include "image/unpack/pax.h"
#include "image/unpack/pipeline.h"
#include "image/unpack/tar_reader.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace quoll::unpack {
namespace {

struct Options {
  std::string directory;
  uint64_t trailer_fd = UINT64_MAX;  // none
  uint64_t max_bytes = uint64_t{64} << 30;
  uint64_t max_entries = 4'000'000;
};

Error ParseArguments(int argc, char** argv, Options* options) {
  const struct {
    std::string_view prefix;
    uint64_t* value;
  } kNumbers[] = {{"--trailer-fd=", &options->trailer_fd},
                  {"--max-bytes=", &options->max_bytes},
                  {"--max-entries=", &options->max_entries}};
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    bool known = false;
    for (const auto& number : kNumbers) {
      if (argument.substr(0, number.prefix.size()) == number.prefix) {
        known = true;
        QUOLL_RETURN_IF_ERROR(
            ParseDecimal(argument.substr(number.prefix.size()), number.value));
      }
    }
    if (!known && argument.substr(0, 1) == "-") {
      return Error(Code::kInvalidArgument,
                   "unknown option " + Quoted(argument));
    }
    if (!known) {
      options->directory = argument;
    }
  }
  return options->directory.empty()
             ? Error(Code::kInvalidArgument, "no directory is given")
             : Error();
}

// Opens what lies outside of the layer's root; nothing does afterwards.
Error OpenOutputs(const std::string& directory, int* root_fd, int* record_fd) {
  const std::string root = directory + "/fs";
  if (mkdir(root.c_str(), 0755) != 0) {
    return Error::FromErrno(errno, "make " + root);
  }
  *root_fd =
      open(root.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (*root_fd < 0) {
    return Error::FromErrno(errno, "open " + root);
  }
  // Who wants to remove the directory waits for this lock, which goes away with
  // this process: it may outlive the daemon that started it by a moment.
  if (flock(*root_fd, LOCK_EX | LOCK_NB) != 0) {
    return Error::FromErrno(errno, "lock " + root);
  }
  const std::string record = directory + "/layer";
  *record_fd =
      open(record.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  return *record_fd >= 0 ? Error()
                         : Error::FromErrno(errno, "create " + record);
}

Error WriteAll(int fd, std::string_view text, const char* step) {
  while (!text.empty()) {
    const ssize_t put = write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put < 0) {
      return Error::FromErrno(errno, step);
    }
    text.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

std::string Describe(const Pipeline& pipeline,
                     const LayerTree::Result& result) {
  return "quoll-layer 1\n"
         "diff-id " +
         pipeline.diff_id() + "\nuncompressed-bytes " +
         std::to_string(pipeline.bytes()) + "\nbytes " +
         std::to_string(result.bytes) + "\ninodes " +
         std::to_string(result.inodes) + "\nimplied " +
         std::to_string(result.implied.size()) + "\n";
}

Error Unpack(const Options& options, int root_fd, int record_fd) {
  const int trailer_fd = options.trailer_fd == UINT64_MAX
                             ? -1
                             : static_cast<int>(options.trailer_fd);
  // Never destroyed: after an error the pipeline's thread may wait for input
  // for ever, and the process ends without it.
  Input& input = *new Input(STDIN_FILENO, trailer_fd);
  Pipeline& pipeline = *new Pipeline(input, options.max_bytes);
  TarReader reader(pipeline);
  LayerTree tree(root_fd, {options.max_entries, options.max_bytes});
  TarEntry entry;
  bool more = true;
  while (true) {
    QUOLL_RETURN_IF_ERROR(reader.Next(&entry, &more));
    if (!more) {
      break;
    }
    QUOLL_RETURN_IF_ERROR(tree.Add(entry, reader));
  }
  QUOLL_RETURN_IF_ERROR(pipeline.Drain());
  LayerTree::Result result;
  QUOLL_RETURN_IF_ERROR(tree.Finish(&result));
  const std::string description = Describe(pipeline, result);
  std::string record = description + "\n";
  for (const std::string& path : result.implied) {
    record.append(path.c_str(), path.size() + 1);
  }
  QUOLL_RETURN_IF_ERROR(WriteAll(record_fd, record, "write the record"));
  // Here and not in the daemon, because it takes as long as the disk wants.
  if (syncfs(root_fd) != 0) {
    return Error::FromErrno(errno, "bring the layer to the disk");
  }
  return WriteAll(STDOUT_FILENO, description, "report the result");
}

Error Run(int argc, char** argv) {
  Options options;
  QUOLL_RETURN_IF_ERROR(ParseArguments(argc, argv, &options));
  // While the system's files can still be seen; no configuration of the host's
  // OpenSSL is wanted, nor its providers.
  if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) != 1 ||
      EVP_sha256() == nullptr) {
    return Error(Code::kInternal, "OpenSSL does not start");
  }
  int root_fd = -1;
  int record_fd = -1;
  QUOLL_RETURN_IF_ERROR(OpenOutputs(options.directory, &root_fd, &record_fd));
  QUOLL_RETURN_IF_ERROR(Confine(root_fd));
  return Unpack(options, root_fd, record_fd);
}

// Error messages hold escaped names, so this is one line. _exit, as the
// pipeline's thread may still run.
[[noreturn]] void Fail(const Error& error) {
  const std::string line = std::to_string(static_cast<int>(error.code())) +
                           " " + error.message() + "\n";
  const Error ignored = WriteAll(STDERR_FILENO, line, "report");
  _exit(ignored.ok() ? 1 : 2);
}

[[noreturn]] void OutOfMemory() {
  constexpr std::string_view kLine =
      "8 layer needs more memory than unpacking may take (1 GiB)\n";
  const ssize_t ignored = write(STDERR_FILENO, kLine.data(), kLine.size());
  _exit(ignored > 0 ? 1 : 2);
}

}  // namespace
}  // namespace quoll::unpack

int main(int argc, char** argv) {
  using quoll::unpack::Error;
  std::set_new_handler(quoll::unpack::OutOfMemory);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  const Error error = quoll::unpack::Run(argc, argv);
  if (!error.ok()) {
    quoll::unpack::Fail(error);
  }
  _exit(0);
}
