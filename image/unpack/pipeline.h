// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "image/unpack/byte_source.h"
#include "image/unpack/input.h"

namespace quoll::unpack {

// The tar stream of a layer. A thread of its own reads, inflates and hashes
// while the caller parses and writes files; a few blocks lie between them, so
// memory does not grow with the layer. (The first is work of the processor, the
// second mostly waits in the kernel, so they overlap well.)
class Pipeline : public ByteSource {
 public:
  // Bombs: a stream of more than `max_bytes`, or one that inflates a thousand
  // times and beyond the first gigabyte, is kResourceExhausted. `input` must
  // outlive this.
  Pipeline(Input& input, uint64_t max_bytes);
  // Waits for the thread, which ends at the end of `input` at the latest.
  ~Pipeline() override;
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  Error Next(size_t max, std::string_view* chunk) override;

  // Reads what is left (the padding after an archive belongs to its hash).
  Error Drain();

  // After the end of the stream: "sha256:<hex>" over all of it.
  const std::string& diff_id() const { return diff_id_; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Block {
    std::vector<char> bytes;
    size_t size = 0;
  };

  void Produce();
  Error ProduceAll();
  // False when the reader has gone.
  bool TakeFree(Block* block);
  void PutFull(Block block);
  // OK with an empty block at the end.
  Error TakeFull(Block* block);

  Input& input_;
  const uint64_t max_bytes_;
  // Written by the thread before `ended_`, read after it.
  std::string diff_id_;
  uint64_t bytes_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Block> free_;
  std::deque<Block> full_;
  bool ended_ = false;    // the thread will put nothing more
  bool stopped_ = false;  // the reader wants nothing more
  Error error_;

  Block current_;  // of the reader
  size_t used_ = 0;
  std::thread thread_;
};

}  // namespace quoll::unpack
