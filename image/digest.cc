// SPDX-License-Identifier: Apache-2.0
#include "image/digest.h"

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#include "openssl/evp.h"
#include "spdlog/spdlog.h"

namespace quoll::image {

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

namespace {

// SHA-256 of the default provider fails only without memory or with a broken
// OpenSSL; a digest that was not computed must never be taken for a match.
void RequireOpenSsl(bool ok) {
  if (!ok) {
    spdlog::critical("OpenSSL cannot compute SHA-256; the library is broken");
    std::abort();
  }
}

}  // namespace

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  RequireOpenSsl(impl_->context != nullptr &&
                 EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::Update(absl::string_view bytes) {
  RequireOpenSsl(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) ==
                 1);
}

std::string Sha256::Finish() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  RequireOpenSsl(EVP_DigestFinal_ex(impl_->context, raw, &size) == 1);
  return absl::StrCat("sha256:",
                      absl::BytesToHexString(absl::string_view(
                          reinterpret_cast<const char*>(raw), size)));
}

std::string DigestOf(absl::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

}  // namespace quoll::image
