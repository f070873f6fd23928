// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/pipeline.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "image/unpack/decoder.h"

#include <openssl/evp.h>

namespace quoll::unpack {
namespace {

constexpr size_t kBlockBytes = 256 << 10;
constexpr size_t kBlocks = 8;

// DEFLATE reaches 1032:1, and only with nothing but repetition in it.
constexpr uint64_t kMaxRatio = 1000;
constexpr uint64_t kRatioFreeBytes = uint64_t{1} << 30;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    ok_ = context_ != nullptr &&
          EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }
  bool ok() const { return ok_; }
  void Update(const char* bytes, size_t size) {
    ok_ = ok_ && EVP_DigestUpdate(context_.get(), bytes, size) == 1;
  }
  std::string Hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    ok_ = ok_ && EVP_DigestFinal_ex(context_.get(), digest, &size) == 1;
    constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (unsigned int i = 0; ok_ && i < size; ++i) {
      hex += kDigits[digest[i] >> 4];
      hex += kDigits[digest[i] & 15];
    }
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
  bool ok_ = false;
};

}  // namespace

Pipeline::Pipeline(Input& input, uint64_t max_bytes)
    : input_(input), max_bytes_(max_bytes) {
  for (size_t i = 0; i < kBlocks; ++i) {
    free_.push_back({std::vector<char>(kBlockBytes), 0});
  }
  thread_ = std::thread([this] { Produce(); });
}

Pipeline::~Pipeline() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Pipeline::Produce() {
  Error error = ProduceAll();
  {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    ended_ = true;
  }
  changed_.notify_all();
}

Error Pipeline::ProduceAll() {
  std::unique_ptr<Decoder> decoder;
  QUOLL_RETURN_IF_ERROR(MakeDecoder(input_, &decoder));
  Sha256 hash;
  Block block;
  while (TakeFree(&block)) {
    block.size = 0;
    // Full blocks, as small reads would become small writes.
    while (block.size < block.bytes.size()) {
      size_t got = 0;
      QUOLL_RETURN_IF_ERROR(decoder->Read(block.bytes.data() + block.size,
                                          block.bytes.size() - block.size,
                                          &got));
      if (got == 0) {
        break;
      }
      block.size += got;
    }
    bytes_ += block.size;
    if (bytes_ > max_bytes_) {
      return Error(Code::kResourceExhausted,
                   "layer is larger than " + std::to_string(max_bytes_) +
                       " bytes uncompressed, the limit of this node");
    }
    if (bytes_ > kRatioFreeBytes &&
        (bytes_ - kRatioFreeBytes) / kMaxRatio > input_.consumed()) {
      return Error(Code::kResourceExhausted,
                   "layer inflates more than " + std::to_string(kMaxRatio) +
                       " times; refused as a decompression bomb");
    }
    hash.Update(block.bytes.data(), block.size);
    if (block.size == 0) {
      diff_id_ = "sha256:" + hash.Hex();
      return hash.ok() ? Error()
                       : Error(Code::kInternal, "SHA-256 of OpenSSL failed");
    }
    PutFull(std::move(block));
  }
  return Error(Code::kCancelled, "the reader of the layer has gone");
}

bool Pipeline::TakeFree(Block* block) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || !free_.empty(); });
  if (stopped_) {
    return false;
  }
  *block = std::move(free_.front());
  free_.pop_front();
  return true;
}

void Pipeline::PutFull(Block block) {
  {
    const std::lock_guard lock(mutex_);
    full_.push_back(std::move(block));
  }
  changed_.notify_all();
}

Error Pipeline::TakeFull(Block* block) {
  std::unique_lock lock(mutex_);
  if (!block->bytes.empty()) {
    free_.push_back(std::move(*block));
    *block = Block();
    changed_.notify_all();
  }
  changed_.wait(lock, [this] { return ended_ || !full_.empty(); });
  // An error overtakes what is queued: nothing of this layer will be kept.
  if (ended_ && !error_.ok()) {
    return error_;
  }
  if (!full_.empty()) {
    *block = std::move(full_.front());
    full_.pop_front();
  }
  return {};
}

Error Pipeline::Next(size_t max, std::string_view* chunk) {
  if (used_ == current_.size) {
    used_ = 0;
    QUOLL_RETURN_IF_ERROR(TakeFull(&current_));
  }
  const size_t size = std::min(max, current_.size - used_);
  *chunk = std::string_view(current_.bytes.data() + used_, size);
  used_ += size;
  return {};
}

Error Pipeline::Drain() {
  std::string_view chunk;
  do {
    QUOLL_RETURN_IF_ERROR(Next(kBlockBytes, &chunk));
  } while (!chunk.empty());
  return {};
}

}  // namespace quoll::unpack
